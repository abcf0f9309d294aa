package connect

import (
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Local starts a child on this host, as the same user, from our own
// executable.
type Local struct{}

func init() { Register[Local]("local") }

// Label implements Method.
func (Local) Label() string { return "local" }

// Traits implements Method.
func (Local) Traits() Traits { return Traits{Local: true} }

// Open implements Method.
func (m Local) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	return openTool(ctx, e, m)
}

func (Local) plan(e *Env, _ string) (*tool, error) {
	t := &tool{program: e.Exec, terminal: TerminalNone, isFarSide: true}
	if len(e.ExecArgv) > 0 {
		t.name, t.args = e.ExecArgv[0], e.ExecArgv[1:]
	}
	return t, nil
}
