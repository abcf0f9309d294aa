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

// The places in Exec.Argv where the first stage goes. [PlaceArgv] has to be
// an element of its own; [PlaceLine] may be part of one.
const (
	PlaceArgv = "{argv}" // "/bin/sh", "-c" and a script, as three arguments
	PlaceLine = "{line}" // all of it as one, for tools that hand a line to a shell
)

// Exec makes a hop of any command that runs another one with its standard
// input and output relayed: docker exec -i, nsenter, chroot, runuser, vagrant
// ssh -c. It is also what most methods of one's own are made of.
//
// The command must write nothing of its own to standard output once the far
// side has begun (what comes before is passed over, and shown if the hop
// fails), and must take nothing from standard input. Its standard error goes
// to the log. It must stay until the far side ends.
//
// Errors: [connect.ErrStart] where there is no such command, [connect.ErrPassword] and
// [connect.ErrPasswordRequired] for one that asks, [connect.ErrEOF] with the exit status and the
// last lines for one that ends.
type Exec struct {
	Name string // what the hop is called in paths; "" is the name of the program
	// Argv is the command, looked up in PATH. The first stage is appended as
	// arguments, or takes the place of PlaceArgv or PlaceLine.
	Argv  []string
	Shell bool     // append the first stage as one line instead
	Env   []string // "KEY=value", added to the environment

	// Terminal is what the command has to ask on. Password is typed at the
	// first prompt for a password; what else it asks, and a password that is
	// not given, is asked through OpenRequest.Prompt. Such a prompt is an unfinished line that
	// ends with a colon, on a terminal without echo, with the word "password" in one of
	// some seventy languages; where the tool's prompt can be chosen, put a word that nothing
	// else prints into it, and into PromptToken; the prompt has to end with a colon.
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
		return fmt.Errorf("%w: no command is given", connect.ErrStart)
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
