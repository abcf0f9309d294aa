package container

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// LXD continues in an instance of LXD, a container or a virtual machine, by the lxc
// program.
//
// Errors: those of [LXC].
type LXD struct {
	Instance string   // "NAME" or "REMOTE:NAME"
	Project  string   // "" is the current one
	UID      string   // number of the user; "" is root
	Args     []string // further options of lxc exec, unchecked
	Path     string   // of lxc; "" looks for it in PATH
}

func init() {
	connect.Register[LXD]("lxd")
	connect.RegisterSyntax("lxd", func(arg string) (connect.Method, error) { return LXD{Instance: arg}, check.Name("instance", arg, "") })
}

// Label implements Method.
func (l LXD) Label() string { return "lxd:" + l.Instance }

// HopWord implements [connect.WordMethod].
func (l LXD) HopWord(w *connect.Word) connect.Method {
	w.Target(l.Instance)
	w.Text("project", &l.Project)
	w.Text("uid", &l.UID)
	w.List("arg", &l.Args)
	w.Text("path", &l.Path)
	w.Check(l.check())
	return l
}

// Traits implements Method.
func (LXD) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method.
func (l LXD) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, l, l.command)
}

// DryRun implements DryRunner.
func (l LXD) DryRun() ([]string, error) { return tool.DryRun(l, l.command) }

func (l LXD) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	return execInstance(tool.ProgramOr(l.Path, "lxc"), l, e)
}

// execInstance returns the command line of lxc, the client of LXD, or of incus, which has the
// same options.
func execInstance(program string, l LXD, e *connect.OpenRequest) (*tool.Tool, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	// If this process has a terminal, the default mode would send the bytes through one.
	exec := []string{"exec", "--mode=non-interactive"}
	own := flags(flag{"project", l.Project}, flag{"user", l.UID})
	return enter(program, exec, own, l.Args, []string{l.Instance, "--"}, e.Argv), nil
}

func (l LXD) check() error {
	return cmp.Or(
		check.Word("instance", l.Instance, ":"), check.Optional("project", l.Project), check.Optional("user", l.UID), check.Args(l.Args),
	)
}
