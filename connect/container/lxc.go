package container

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// LXC continues in a container of the classic LXC tools, by lxc-attach. The child has the
// environment of the container.
//
// Errors: [connect.ErrNoContainer] if there is no lxc-attach or container, or the container
// does not run; [connect.ErrPermission]; [connect.ErrStart] if it has no shell;
// [connect.ErrBadName].
type LXC struct {
	Container string
	Dir       string   // the directory of the containers, an absolute path; "" is lxc's choice
	Args      []string // further options of lxc-attach, unchecked
	Path      string   // of lxc-attach; "" looks for it in PATH
}

func init() {
	connect.Register[LXC]("lxc")
	connect.RegisterSyntax("lxc", func(arg string) (connect.Method, error) { return LXC{Container: arg}, check.Name("container", arg, "") })
}

// Label implements Method.
func (l LXC) Label() string { return "lxc:" + l.Container }

// HopWord implements [connect.WordMethod].
func (l LXC) HopWord(w *connect.Word) connect.Method {
	w.Target(l.Container)
	w.Text("dir", &l.Dir)
	w.List("arg", &l.Args)
	w.Text("path", &l.Path)
	w.Check(l.check())
	return l
}

// Traits implements Method.
func (LXC) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method.
func (l LXC) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, l, l.command)
}

// DryRun implements DryRunner.
func (l LXC) DryRun() ([]string, error) { return tool.DryRun(l, l.command) }

func (l LXC) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	own := flags(flag{"name", l.Container}, flag{"lxcpath", l.Dir})
	return enter(tool.ProgramOr(l.Path, "lxc-attach"), []string{"--clear-env"}, own, l.Args, []string{"--"}, e.Argv), nil
}

func (l LXC) check() error {
	dir := cmp.Or(l.Dir, "/") // which passes the check
	return cmp.Or(check.Word("container", l.Container, ""), check.Dir("directory", dir), check.Args(l.Args))
}
