// Package tool runs the programs by which most hops are made. It starts one with a
// terminal of its own (process.go, terminal.go), recognises the prompts there
// (prompts.go), answers them (dialogue.go), tells a person what else it says (notices.go),
// and keeps its last words for the error (lastwords.go).
//
// A method fills in a [Tool] and calls [Open].
package tool

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
)

// Tool says what to start, how to talk with it, and what its end means.
type Tool struct {
	Hop     string   // the label, for messages
	Program string   // a path, or a name to look for in PATH
	Args    []string // without the name
	Name    string   // argv[0]; "" is the program
	Environ []string // added to our own, "KEY=value"

	Terminal connect.Terminal
	// OnSocket moves the payload of TerminalStdio to a socket at descriptor 1, for
	// what hands on nothing above 2; see TakeSocket.
	OnSocket bool
	Answers  Answers
	// Tells: its standard error is for a person to read as well as its terminal.
	Tells bool

	// Token, where the tool prints one for us, is shown as instead.
	Token, Instead string

	// Missing is the class of there being no such program; nil is ErrStart.
	Missing error
	// Explain finds the class of an end that came before the far side had
	// spoken; nil, and the zero verdict, mean that nothing is known.
	Explain func(Ending) failure.Verdict
	// Undo are arguments of the program that take away what it has made, for a
	// tool that was not seen to do so itself.
	Undo []string
	// IsFarSide: the tool becomes the far side, and so need not end before it.
	IsFarSide bool
	// IsClient: the tool's end is nothing to the far side but the end of the pipe.
	IsClient bool
	// Settled is called once, when the far side has spoken or never will.
	Settled func()
}

// Ending is what is known of a tool that ended early.
type Ending struct {
	Status *os.ProcessState
	Said   []string // the last lines, on standard error and the terminal
	Tally  tally
}

// The descriptors of the payload where the terminal has the standard ones.
const takePayload = "exec <&3 >&4 3<&- 4>&-;"

// TakeSocket is the same where the payload is on a socket at descriptor 1.
const TakeSocket = "exec <&1;"

// BesideTerminal is the same first stage for TerminalStdio.
func BesideTerminal(e *connect.OpenRequest) *connect.OpenRequest {
	return WithBeginning(e, takePayload)
}

// WithBeginning is the same first stage with commands in front of its script.
func WithBeginning(e *connect.OpenRequest, commands string) *connect.OpenRequest {
	moved := *e
	if last := len(e.Argv) - 1; last >= 0 {
		moved.Argv = append(e.Argv[:last:last], commands+e.Argv[last])
	}
	moved.CommandLine = strings.Replace(e.CommandLine, "'", "'"+commands, 1)
	return &moved
}

// A commandFunc checks the options of a method and says what to run, all but the hop's
// name. token is a word that nothing else in the world prints.
type commandFunc func(e *connect.OpenRequest, token string) (*Tool, error)

// Open is the Open of methods that run one program.
func Open(ctx context.Context, e *connect.OpenRequest, m connect.Method, command commandFunc) (bootstrap.Carrier, error) {
	t, err := command(e, "mitosis-"+rand.Text()[:16])
	if err != nil {
		return nil, &connect.Error{Hop: m.Label(), Err: err}
	}
	t.Hop = m.Label()
	return Start(ctx, e, t)
}

// ProgramOr is the path that an option gives, or the usual name.
func ProgramOr(path, usual string) string {
	if path == "" {
		return usual
	}
	return path
}

// lookUp finds the program.
func (t *Tool) lookUp() (string, error) {
	path, err := exec.LookPath(t.Program)
	switch {
	case err == nil:
		return path, nil
	case t.Missing != nil:
		err = failure.Classify(t.Missing, err)
	}
	return "", failure.Classify(connect.ErrStart, err)
}

// missingHint says what to do where lookUp has failed.
func (t *Tool) missingHint(err error) string {
	if !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return "install " + t.Program + " where the parent of the hop runs, or give its path"
}

// IsClosed reports whether a channel is closed that nothing is sent on.
func IsClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// DryRun is the DryRun of methods that run one program.
func DryRun(m connect.Method, command commandFunc) ([]string, error) {
	t, err := command(&connect.OpenRequest{
		CommandLine: "exec /bin/sh -c '" + connect.Elided + "'", Argv: []string{"/bin/sh", "-c", connect.Elided},
		Exec: "/proc/self/exe", ExecArgv: []string{"/proc/self/exe"},
	}, connect.Elided)
	if err != nil {
		return nil, &connect.Error{Hop: m.Label(), Err: err}
	}
	return append([]string{t.Program}, t.Args...), nil
}
