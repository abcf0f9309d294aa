package container

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Machinectl continues in a machine that systemd-machined knows, such as one of
// systemd-nspawn. The machine has to run systemd itself; [Nsenter] enters others.
//
// It runs systemd-run and not machinectl shell, which would put a terminal in between. That
// ends the session if an image has three Control-] in a row.
//
// Errors: those of [LXC].
type Machinectl struct {
	Machine string
	User    string // "" is root
	Path    string // of systemd-run; "" looks for it in PATH
}

func init() {
	connect.Register[Machinectl]("machinectl")
	connect.RegisterSyntax("machinectl", func(arg string) (connect.Method, error) {
		return Machinectl{Machine: arg}, check.Name("machine", arg, "")
	})
}

// Label implements Method.
func (m Machinectl) Label() string { return "machinectl:" + m.Machine }

// HopWord implements [connect.WordMethod].
func (m Machinectl) HopWord(w *connect.Word) connect.Method {
	w.Target(m.Machine)
	w.Text("user", &m.User)
	w.Text("path", &m.Path)
	w.Check(m.check())
	return m
}

// Traits implements Method.
func (Machinectl) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method.
func (m Machinectl) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, m, m.command)
}

// DryRun implements DryRunner.
func (m Machinectl) DryRun() ([]string, error) { return tool.DryRun(m, m.command) }

func (m Machinectl) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	own := flags(flag{"machine", m.Machine}, flag{"uid", m.User})
	rest := []string{"--pipe", "--wait", "--collect", "--quiet", "--"}
	// systemd would expand variables in the command line.
	return enter(tool.ProgramOr(m.Path, "systemd-run"), own, rest, tool.ArgvWithoutDollars(e)), nil
}

func (m Machinectl) check() error {
	return cmp.Or(check.Word("machine", m.Machine, ""), check.Optional("user", m.User))
}
