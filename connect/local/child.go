// Package local starts a child on the same host ([Child]), or by any command that relays
// ([Exec]).
package local

import (
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Child starts a child on the same host, as the same user, from the same executable.
type Child struct{}

func init() {
	connect.Register[Child]("local")
	connect.RegisterSyntax("local", func(arg string) (connect.Method, error) { return Child{}, check.Nothing(arg) })
}

// Label implements Method.
func (Child) Label() string { return "local" }

// Traits implements Method.
func (Child) Traits() connect.Traits { return connect.Traits{Local: true} }

// Open implements Method.
func (m Child) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, m, m.command)
}

// DryRun implements DryRunner.
func (m Child) DryRun() ([]string, error) { return tool.DryRun(m, m.command) }

func (Child) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	t := &tool.Tool{Program: e.Exec, Terminal: connect.TerminalNone, IsFarSide: true, Environ: bootstrap.ExecEnviron()}
	if len(e.ExecArgv) > 0 {
		t.Name, t.Args = e.ExecArgv[0], e.ExecArgv[1:]
	}
	return t, nil
}
