package connect

import (
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Incus continues in an instance of Incus, a container or a virtual machine.
//
// Errors: those of [LXC].
type Incus struct {
	Instance string   // "NAME" or "REMOTE:NAME"
	Project  string   // "" is the current one
	UID      string   // number of the user; "" is root
	Args     []string // further options of incus exec, as they are
	Path     string   // of incus; "" looks for it in PATH
}

func init() { Register[Incus]("incus") }

// Label implements Method.
func (i Incus) Label() string { return "incus:" + i.Instance }

// Traits implements Method.
func (Incus) Traits() Traits { return Traits{} }

// Open implements Method.
func (i Incus) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	return openTool(ctx, e, i)
}

func (i Incus) plan(e *Env, _ string) (*tool, error) {
	return execInstance(programOr(i.Path, "incus"), LXD(i), e)
}
