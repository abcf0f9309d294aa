package connect

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// LXC continues in a container of the classic LXC tools, by lxc-attach. The
// environment is the container's, not ours.
//
// Errors: [ErrNoRuntime] where there is no lxc-attach or container, or the container
// does not run; [ErrPermission]; [ErrStart] where there is no shell in it;
// [ErrBadName].
type LXC struct {
	Container string
	Dir       string   // where the containers are, an absolute path; "" is lxc's choice
	Args      []string // further options of lxc-attach, as they are
	Path      string   // of lxc-attach; "" looks for it in PATH
}

func init() { Register[LXC]("lxc") }

// Label implements Method.
func (l LXC) Label() string { return "lxc:" + l.Container }

// Traits implements Method.
func (LXC) Traits() Traits { return Traits{} }

// Open implements Method.
func (l LXC) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	return openTool(ctx, e, l)
}

func (l LXC) plan(e *Env, _ string) (*tool, error) {
	dir := cmp.Or(l.Dir, "/") // which passes the check
	if err := cmp.Or(checkWord("container", l.Container, ""), checkDir("directory", dir), checkArgs(l.Args)); err != nil {
		return nil, err
	}
	own := flags(flag{"name", l.Container}, flag{"lxcpath", l.Dir})
	return enter(programOr(l.Path, "lxc-attach"), []string{"--clear-env"}, own, l.Args, []string{"--"}, e.Argv), nil
}
