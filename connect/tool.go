package connect

import (
	"os"
	"os/exec"
)

// tool says what to start, how to talk with it, and what its end means.
type tool struct {
	hop     string   // the label, for messages
	program string   // a path, or a name to look for in PATH
	args    []string // without the name
	name    string   // argv[0]; "" is the program
	environ []string // added to our own, "KEY=value"

	terminal Terminal
	script   script

	// token, where the tool prints one for us, is shown as instead.
	token, instead string

	// explain finds the class of an end that came before the far side had
	// spoken; nil, and a nil result, mean that nothing is known.
	explain func(ending) error
	// settled is called once, when the far side has spoken or never will.
	settled func()
}

// ending is what is known of a tool that ended early.
type ending struct {
	status *os.ProcessState
	said   []string // the last lines, on standard error and the terminal
	tally  tally
}

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
)

// lookUp finds the program.
func (t *tool) lookUp() (string, error) {
	path, err := exec.LookPath(t.program)
	if err != nil {
		return "", classify(ErrStart, err)
	}
	return path, nil
}
