// Package tool runs the programs by which most hops are made. It starts one with a terminal
// of its own (process.go, terminal.go), recognises its prompts (prompts.go), answers them
// (dialogue.go), shows its other lines to a person (notices.go), and keeps its last words for
// the error (lastwords.go).
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

// Tool says how to start a tool, how to answer it, and how to explain its end.
type Tool struct {
	Hop     string   // the label, for messages
	Program string   // a path, or a name to look for in PATH
	Args    []string // without the name
	Name    string   // argv[0]; "" is the program
	Environ []string // added to our own, "KEY=value"

	Terminal connect.Terminal
	// Socket puts the payload on a socket, for tools that pass on no descriptor above 2
	// while their output belongs to a terminal.
	Socket  Socket
	Answers Answers
	// Tells: lines on standard error are told to a person, as those on the terminal are.
	Tells bool

	// Token is a word in the tool's prompts that is shown to people as Instead.
	Token, Instead string

	// Missing is the class of the error if there is no such program; nil is ErrStart.
	Missing error
	// Explain finds the class of an end before the far side had spoken. It may be nil or
	// return the zero verdict, if nothing is known.
	Explain func(Ending) failure.Verdict
	// Undo are arguments of the program that remove what it has made. They are used
	// unless the tool has ended in order.
	Undo []string
	// IsFarSide: the tool becomes the far side, and so need not end before it.
	IsFarSide bool
	// IsClient: the far side notices the tool's end only by the end of the pipe.
	IsClient bool
	// Settled is called once: when the far side has spoken, or can't any more.
	Settled func()
}

// Ending describes a tool that ended before the far side had spoken.
type Ending struct {
	Status *os.ProcessState
	Said   []string // the last lines, on standard error and the terminal
	Tally  tally
}

// takePayload moves the payload from descriptors 3 and 4 to standard input and output, which
// are the terminal with TerminalStdio.
const takePayload = "exec <&3 >&4 3<&- 4>&-;"

// BesideTerminal returns the request with a first stage for TerminalStdio.
func BesideTerminal(e *connect.OpenRequest) *connect.OpenRequest {
	return WithBeginning(e, takePayload)
}

// WithBeginning returns the request with commands in front of the script of the first stage.
func WithBeginning(e *connect.OpenRequest, commands string) *connect.OpenRequest {
	moved := *e
	if last := len(e.Argv) - 1; last >= 0 {
		moved.Argv = append(e.Argv[:last:last], commands+e.Argv[last])
	}
	moved.CommandLine = strings.Replace(e.CommandLine, "'", "'"+commands, 1)
	return &moved
}

// Socket is the standard descriptor of a tool that is a socket for the payload both ways. The
// first stage makes it standard input and output: see Socket.take.
type Socket uint8

const (
	NoSocket    Socket = iota
	SocketAtIn         // standard input; standard output is the tool's terminal
	SocketAtOut        // standard output; standard input and error are the tool's terminal
)

// take is the redirection that the first stage needs.
func (s Socket) take() string {
	if s == SocketAtIn {
		return ">&0"
	}
	return "<&1"
}

// OnSocket returns the request with a first stage for a payload on a socket. A shell of its own
// makes the redirection, at a command: ksh93 takes descriptor 1 and all of its copies for
// write-only, and refuses to read from them, but a program that it starts may.
func OnSocket(e *connect.OpenRequest, s Socket) *connect.OpenRequest {
	script := `exec /bin/sh -c "$0" ` + s.take()
	moved := *e
	if last := len(e.Argv) - 1; last >= 0 {
		moved.Argv = append(e.Argv[:last:last], script, e.Argv[last])
	}
	moved.CommandLine = strings.Replace(e.CommandLine, "'", "'"+script+"' '", 1)
	return &moved
}

// A commandFunc checks the options of a method and returns its tool, without Hop. token is a
// random word, to be recognised in prompts.
type commandFunc func(e *connect.OpenRequest, token string) (*Tool, error)

// Open implements the Open of methods that run one program.
func Open(ctx context.Context, e *connect.OpenRequest, m connect.Method, command commandFunc) (bootstrap.Carrier, error) {
	t, err := command(e, "mitosis-"+rand.Text()[:16])
	if err != nil {
		return nil, &connect.Error{Hop: m.Label(), Err: err}
	}
	t.Hop = m.Label()
	return Start(ctx, e, t)
}

// ProgramOr returns the path of an option, or the usual name if that is "".
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

// missingHint returns the hint if lookUp has failed.
func (t *Tool) missingHint(err error) string {
	if !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return "install " + t.Program + " on the host where the parent of the hop runs, or name it by its path"
}

// IsClosed reports whether a channel is closed on which nothing is sent.
func IsClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// DryRun implements the DryRun of methods that run one program.
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
