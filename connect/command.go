package connect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Command makes a hop of any command that runs another with its standard input
// and output relayed. The first stage, "/bin/sh -c ...", is appended to Argv as
// arguments of its own; with Shell as one argument, for tools that hand a line
// to a shell.
//
// The command must write nothing to its standard output that is not the far
// side's (what comes before the first stage is passed over), and read nothing
// from its standard input.
type Command struct {
	Name  string   // what the hop is called in paths; "" is Argv[0]
	Argv  []string // looked up in PATH
	Shell bool
	Env   []string // "KEY=value", added to the environment
}

func init() { Register[Command]("command") }

// Label implements Method.
func (c Command) Label() string {
	switch {
	case c.Name != "":
		return "command:" + c.Name
	case len(c.Argv) > 0:
		return "command:" + c.Argv[0]
	}
	return "command"
}

// Open implements Method.
func (c Command) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	hop := c.Label()
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return nil, &Error{Hop: hop, Err: fmt.Errorf("%w: no command given", ErrStart)}
	}
	path, err := exec.LookPath(c.Argv[0])
	if err != nil {
		return nil, &Error{Hop: hop, Err: fmt.Errorf("%w: %w", ErrStart, err)}
	}
	args := append([]string(nil), c.Argv...)
	if c.Shell {
		args = append(args, e.Line)
	} else {
		args = append(args, e.Argv...)
	}
	return startTool(ctx, tool{
		hop: hop, env: e, path: path, args: args, environ: append(os.Environ(), c.Env...),
		classify: func(string) error { return errors.New("the command ended") },
	})
}
