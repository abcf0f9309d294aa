package container

import (
	"context"
	"slices"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Unshare continues on this host in new namespaces, which end with the child. In a new PID
// namespace the child is process 1 and has a /proc of its own. A new network namespace has
// only a loopback interface, which is down.
//
// Errors: [connect.ErrPermission] if the user may not make them; [connect.ErrStart] if there
// is no unshare or the kernel has no such namespaces.
type Unshare struct {
	Namespaces Namespaces
	Path       string // of unshare; "" looks for it in PATH
}

func init() {
	connect.Register[Unshare]("unshare")
	connect.RegisterSyntax("unshare", func(arg string) (connect.Method, error) { return Unshare{}, check.Nothing(arg) })
}

// Label implements Method.
func (Unshare) Label() string { return "unshare" }

// HopWord implements [connect.WordMethod].
func (u Unshare) HopWord(w *connect.Word) connect.Method {
	u.Namespaces.hopWord(w)
	w.Text("path", &u.Path)
	return u
}

// Traits implements Method.
func (Unshare) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method.
func (u Unshare) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, u, u.command)
}

// DryRun implements DryRunner.
func (u Unshare) DryRun() ([]string, error) { return tool.DryRun(u, u.command) }

func (u Unshare) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	args := u.Namespaces.flags("-r")
	if slices.Contains(args, "-p") {
		// unshare itself stays outside of a new PID namespace.
		args = append(args, "-f", "--mount-proc")
	}
	t := enter(tool.ProgramOr(u.Path, "unshare"), args, []string{"--"}, e.Argv)
	t.Missing = nil
	return t, nil
}
