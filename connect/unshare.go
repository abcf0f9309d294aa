package connect

import (
	"context"
	"slices"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Unshare continues on this host in new namespaces, which end with the child. In
// a new PID namespace the child is number 1 and has a /proc of its own. New network
// namespaces have nothing but a loopback that is down.
//
// Errors: [ErrPermission] where the user may not make them, [ErrStart] where there is
// no unshare or the kernel has no such namespaces.
type Unshare struct {
	Namespaces Namespaces
	Path       string // of unshare; "" looks for it in PATH
}

func init() { Register[Unshare]("unshare") }

// Label implements Method.
func (Unshare) Label() string { return "unshare" }

// Traits implements Method.
func (Unshare) Traits() Traits { return Traits{} }

// Open implements Method.
func (u Unshare) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	return openTool(ctx, e, u)
}

func (u Unshare) plan(e *Env, _ string) (*tool, error) {
	args := u.Namespaces.flags("-r")
	if slices.Contains(args, "-p") {
		// unshare itself stays outside of a new PID namespace.
		args = append(args, "-f", "--mount-proc")
	}
	t := enter(programOr(u.Path, "unshare"), args, []string{"--"}, e.Argv)
	t.missing = nil
	return t, nil
}
