package connect

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// tool says what to start, how to talk with it, and what its end means.
type tool struct {
	hop     string   // the label, for messages
	program string   // a path, or a name to look for in PATH
	args    []string // without the name
	name    string   // argv[0]; "" is the program
	environ []string // added to our own, "KEY=value"

	terminal Terminal
	// onSocket moves the payload of TerminalStdio to a socket at descriptor 1, for
	// what hands on nothing above 2; see takeSocket.
	onSocket bool
	script   script
	// tells: its standard error is for a person to read as well as its terminal.
	tells bool

	// token, where the tool prints one for us, is shown as instead.
	token, instead string

	// missing is the class of there being no such program; nil is ErrStart.
	missing error
	// explain finds the class of an end that came before the far side had
	// spoken; nil, and the zero verdict, mean that nothing is known.
	explain func(ending) verdict
	// undo are arguments of the program that take away what it has made, for a
	// tool that was not seen to do so itself.
	undo []string
	// isFarSide: the tool becomes the far side, and so need not end before it.
	isFarSide bool
	// isClient: the tool's end is nothing to the far side but the end of the pipe.
	isClient bool
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
	// TerminalStdio makes its standard input, output and error the terminal,
	// for tools that ask there. The payload takes a pipe beside it all the
	// same: the first stage finds that at descriptors 3 and 4, which the
	// tool must leave open.
	TerminalStdio
)

// The descriptors of the payload where the terminal has the standard ones.
const takePayload = "exec <&3 >&4 3<&- 4>&-;"

// takeSocket is the same where the payload is on a socket at descriptor 1.
const takeSocket = "exec <&1;"

// besideTerminal is the same first stage for TerminalStdio.
func (e *Env) besideTerminal() *Env { return e.withBeginning(takePayload) }

// withBeginning is the same first stage with commands in front of its script.
func (e *Env) withBeginning(commands string) *Env {
	moved := *e
	if last := len(e.Argv) - 1; last >= 0 {
		moved.Argv = append(e.Argv[:last:last], commands+e.Argv[last])
	}
	moved.Line = strings.Replace(e.Line, "'", "'"+commands, 1)
	return &moved
}

// toolMethod is a method that runs one program.
type toolMethod interface {
	Method

	// plan checks the options and says what to run, all but tool.hop. token
	// is a word that nothing else in the world prints.
	plan(e *Env, token string) (*tool, error)
}

// openTool is Open for most of them.
func openTool(ctx context.Context, e *Env, m toolMethod) (bootstrap.Carrier, error) {
	t, err := m.plan(e, "mitosis-"+rand.Text()[:16])
	if err != nil {
		return nil, &Error{Hop: m.Label(), Err: err}
	}
	t.hop = m.Label()
	return startTool(ctx, e, t)
}

// programOr is the path that an option gives, or the usual name.
func programOr(path, usual string) string {
	if path == "" {
		return usual
	}
	return path
}

// lookUp finds the program.
func (t *tool) lookUp() (string, error) {
	path, err := exec.LookPath(t.program)
	switch {
	case err == nil:
		return path, nil
	case t.missing != nil:
		err = classify(t.missing, err)
	}
	return "", classify(ErrStart, err)
}

// missingHint says what to do where lookUp has failed.
func (t *tool) missingHint(err error) string {
	if !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return "install " + t.program + " where the parent of the hop runs, or give its path"
}

// verdict is the class of a failure, and what can be done about it; "" where that
// is not known.
type verdict struct {
	class error
	hint  string
}

// saying is something that a tool says when it fails, in lower case, and what that
// means.
type saying struct {
	text string
	verdict
}

// meaning finds the first of the sayings that was said. Tools say the same with
// and without a capital letter.
func meaning(said []string, sayings []saying) verdict {
	for _, s := range sayings {
		for _, line := range said {
			if strings.Contains(strings.ToLower(line), s.text) {
				return s.verdict
			}
		}
	}
	return verdict{}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
