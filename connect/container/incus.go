package container

import (
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Incus continues in an instance of Incus, a container or a virtual machine.
//
// Errors: those of [LXC].
type Incus struct {
	Instance string   // "NAME" or "REMOTE:NAME"
	Project  string   // "" is the current one
	UID      string   // number of the user; "" is root
	Args     []string // further options of incus exec, unchecked
	Path     string   // of incus; "" looks for it in PATH
}

func init() {
	connect.Register[Incus]("incus")
	connect.RegisterSyntax("incus", func(arg string) (connect.Method, error) { return Incus{Instance: arg}, check.Name("instance", arg, "") })
}

// Label implements Method.
func (i Incus) Label() string { return "incus:" + i.Instance }

// HopWord implements [connect.WordMethod].
func (i Incus) HopWord(w *connect.Word) connect.Method {
	return Incus(LXD(i).HopWord(w).(LXD))
}

// Traits implements Method.
func (Incus) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method.
func (i Incus) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, i, i.command)
}

// DryRun implements DryRunner.
func (i Incus) DryRun() ([]string, error) { return tool.DryRun(i, i.command) }

func (i Incus) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	return execInstance(tool.ProgramOr(i.Path, "incus"), LXD(i), e)
}
