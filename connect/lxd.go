package connect

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// LXD continues in an instance of LXD, a container or a virtual machine, by the lxc
// program.
//
// Errors: those of [LXC].
type LXD struct {
	Instance string   // "NAME" or "REMOTE:NAME"
	Project  string   // "" is the current one
	UID      string   // number of the user; "" is root
	Args     []string // further options of lxc exec, as they are
	Path     string   // of lxc; "" looks for it in PATH
}

func init() { Register[LXD]("lxd") }

// Label implements Method.
func (l LXD) Label() string { return "lxd:" + l.Instance }

// Traits implements Method.
func (LXD) Traits() Traits { return Traits{} }

// Open implements Method.
func (l LXD) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	return openTool(ctx, e, l)
}

func (l LXD) plan(e *Env, _ string) (*tool, error) {
	return execInstance(programOr(l.Path, "lxc"), l, e)
}

// execInstance is the plan of the programs of LXD and its descendant Incus, which
// have the same options.
func execInstance(program string, l LXD, e *Env) (*tool, error) {
	err := cmp.Or(
		checkWord("instance", l.Instance, ":"), checkOptional("project", l.Project), checkOptional("user", l.UID), checkArgs(l.Args),
	)
	if err != nil {
		return nil, err
	}
	// Without the mode it would be a terminal that the bytes go through,
	// where we have one.
	exec := []string{"exec", "--mode=non-interactive"}
	own := flags(flag{"project", l.Project}, flag{"user", l.UID})
	return enter(program, exec, own, l.Args, []string{l.Instance, "--"}, e.Argv), nil
}
