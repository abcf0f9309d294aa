package connect

// Terminal says whether a tool gets a terminal to ask on, and where.
type Terminal uint8

// The kinds of terminals. The numbers travel; append only.
const (
	// TerminalBeside gives the tool a controlling terminal beside the pipe that carries
	// the payload. It is for tools that open /dev/tty to ask: prompts are answered there,
	// and the payload is as fast as a pipe.
	TerminalBeside Terminal = iota
	// TerminalNone gives the tool no terminal. A tool that has to ask then fails.
	TerminalNone
	// TerminalOnly gives the tool a terminal as standard input and output, for tools that
	// refuse anything else. The payload passes through the terminal and is slower.
	TerminalOnly
	// TerminalStdio gives the tool a terminal as standard input, output and error, for
	// tools that ask there. The payload still takes a pipe: the first stage finds it at
	// descriptors 3 and 4, which the tool must leave open.
	TerminalStdio
)
