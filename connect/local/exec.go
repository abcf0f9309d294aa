package local

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// The places in Exec.Argv where the first stage goes. [PlaceArgv] has to be a whole
// argument; [PlaceLine] may be part of one.
const (
	PlaceArgv = "{argv}" // three arguments: "/bin/sh", "-c" and a script
	PlaceLine = "{line}" // one command line, for tools that hand it to a shell
)

// Exec makes a hop of any command that runs another one and relays its standard input and
// output: docker exec -i, nsenter, chroot, runuser, vagrant ssh -c. Most methods of your
// own are made of it.
//
// The command must not read standard input itself. It must not write to standard output
// once the far side has begun; earlier output is ignored, and shown if the hop fails. Its
// standard error goes to the log. It must run until the far side ends.
//
// Errors: [connect.ErrStart] if there is no such command; [connect.ErrPassword] and
// [connect.ErrPasswordRequired] if it asks; [connect.ErrEOF] if it ends, with its exit
// status and last lines.
type Exec struct {
	Name string // the name of the hop in paths; "" is that of the program
	// Argv is the command, looked up in PATH. The first stage is appended as
	// arguments, or takes the place of PlaceArgv or PlaceLine.
	Argv  []string
	Shell bool     // append the first stage as one command line instead
	Env   []string // "KEY=value", added to the environment

	// Terminal is where the command may ask. Password is typed at the first prompt for a
	// password; all other questions, and that for a password that is not given, go to
	// OpenRequest.Prompt. A prompt for a password is an unfinished line that ends with a
	// colon and has the word "password" in one of some seventy languages, while echo is
	// off. If the prompt can be chosen, let it end with a colon and hold a word that
	// nothing else prints, and set PromptToken to that word.
	Terminal    connect.Terminal
	Password    connect.Secret
	PromptToken string
}

func init() { connect.Register[Exec]("command") }

// Label implements Method.
func (c Exec) Label() string {
	switch {
	case c.Name != "":
		return "command:" + c.Name
	case len(c.Argv) > 0:
		return "command:" + filepath.Base(c.Argv[0])
	}
	return "command"
}

// Traits implements Method.
func (Exec) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method.
func (c Exec) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, c, c.command)
}

// DryRun implements DryRunner.
func (c Exec) DryRun() ([]string, error) { return tool.DryRun(c, c.command) }

func (c Exec) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Terminal == connect.TerminalStdio {
		e = tool.BesideTerminal(e)
	}
	t := &tool.Tool{
		Program: c.Argv[0], Args: c.arguments(e), Environ: c.Env, Terminal: c.Terminal,
		Answers: tool.Answers{Recognise: tool.AnyPrompt, Password: c.Password},
	}
	if c.PromptToken != "" {
		t.Answers.Recognise = tool.TokenPrompt(c.PromptToken)
	}
	return t, nil
}

func (c Exec) check() error {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return fmt.Errorf("%w: Exec.Argv has no command", connect.ErrStart)
	}
	if c.Terminal > connect.TerminalStdio {
		return fmt.Errorf("%w: no such kind of terminal: %d", connect.ErrStart, c.Terminal)
	}
	if err := check.Args(c.Argv); err != nil {
		return err
	}
	for _, v := range c.Env {
		if strings.IndexByte(v, 0) >= 0 || strings.IndexByte(v, '=') <= 0 {
			return fmt.Errorf("%w: %q is not KEY=value", connect.ErrBadName, v)
		}
	}
	return nil
}

func (c Exec) arguments(e *connect.OpenRequest) []string {
	var args []string
	placed := false
	for _, arg := range c.Argv[1:] {
		switch {
		case arg == PlaceArgv:
			args = append(args, e.Argv...)
			placed = true
		case strings.Contains(arg, PlaceLine):
			args = append(args, strings.ReplaceAll(arg, PlaceLine, e.CommandLine))
			placed = true
		default:
			args = append(args, arg)
		}
	}
	switch {
	case placed:
		return args
	case c.Shell:
		return append(args, e.CommandLine)
	}
	return slices.Concat(args, e.Argv)
}
