package connect

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Machinectl continues in a machine that systemd-machined knows, such as one of
// systemd-nspawn, which runs systemd itself; others can be entered by [Nsenter].
//
// It does so by systemd-run, not by machinectl shell: that would put a terminal in
// between, which ends the session when the bytes of an image hold three Control-] in
// a row.
//
// Errors: those of [LXC].
type Machinectl struct {
	Machine string
	User    string // "" is root
	Path    string // of systemd-run; "" looks for it in PATH
}

func init() { Register[Machinectl]("machinectl") }

// Label implements Method.
func (m Machinectl) Label() string { return "machinectl:" + m.Machine }

// Traits implements Method.
func (Machinectl) Traits() Traits { return Traits{} }

// Open implements Method.
func (m Machinectl) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	return openTool(ctx, e, m)
}

func (m Machinectl) plan(e *Env, _ string) (*tool, error) {
	if err := cmp.Or(checkWord("machine", m.Machine, ""), checkOptional("user", m.User)); err != nil {
		return nil, err
	}
	own := flags(flag{"machine", m.Machine}, flag{"uid", m.User})
	rest := []string{"--pipe", "--wait", "--collect", "--quiet", "--"}
	// systemd expands variables in command lines.
	return enter(programOr(m.Path, "systemd-run"), own, rest, argvWithoutDollars(e)), nil
}
