package connect

// Terminal says what a tool gets for its controlling terminal.
type Terminal uint8

// The kinds of terminals. The numbers travel; append only.
const (
	// TerminalBeside gives the tool a controlling terminal beside the pipe
	// that carries the payload: prompts come and are answered there, and the
	// payload is as fast as a pipe. It serves whatever opens /dev/tty to ask.
	TerminalBeside Terminal = iota
	// TerminalNone gives it none. A tool that has to ask fails then.
	TerminalNone
	// TerminalOnly makes its standard input and output the terminal too, for
	// tools that refuse anything else. The payload is slower.
	TerminalOnly
	// TerminalStdio makes its standard input, output and error the terminal,
	// for tools that ask there. The payload takes a pipe beside it all the
	// same: the first stage finds that at descriptors 3 and 4, which the
	// tool must leave open.
	TerminalStdio
)
