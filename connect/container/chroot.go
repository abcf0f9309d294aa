package container

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Chroot continues inside a directory tree, such as the mounted root of a
// damaged system. It has to be called by root.
//
// The tree needs /bin/sh, /dev/null and a directory /proc. If the /proc of the parent is
// mounted there, the child starts from the parent's own executable. If none is, and the tree
// is a mount point, the child mounts one in a mount namespace of its own. A warning then
// says that mounts of the child are not visible outside.
//
// Errors: [connect.ErrBadName] for a relative path; [connect.ErrPermission];
// [connect.ErrNoContainer] if there is no such tree; [connect.ErrStart] if it has no shell.
type Chroot struct {
	Dir  string // the tree, an absolute path
	User string // "user" or "user:group", by the tree's passwd; "" is the same user; busybox's chroot has no such option
	Path string // of chroot; "" looks for it in PATH
}

func init() {
	connect.Register[Chroot]("chroot")
	connect.RegisterSyntax("chroot", func(arg string) (connect.Method, error) { return Chroot{Dir: arg}, nil })
}

// Label implements Method.
func (c Chroot) Label() string { return "chroot:" + c.Dir }

// HopWord implements [connect.WordMethod].
func (c Chroot) HopWord(w *connect.Word) connect.Method {
	w.Target(c.Dir)
	w.Text("user", &c.User)
	w.Text("path", &c.Path)
	w.Check(c.check())
	return c
}

// Traits implements Method.
func (c Chroot) Traits() connect.Traits { return connect.Traits{Local: true, User: c.User} }

// Open implements Method.
func (c Chroot) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, c, c.command)
}

// DryRun implements DryRunner.
func (c Chroot) DryRun() ([]string, error) { return tool.DryRun(c, c.command) }

func (c Chroot) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return enter(tool.ProgramOr(c.Path, "chroot"), flags(flag{"userspec", c.User}), []string{c.Dir}, e.Argv), nil
}

func (c Chroot) check() error {
	return cmp.Or(check.Dir("tree", c.Dir), check.Optional("user", c.User))
}
