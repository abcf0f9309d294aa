package connect

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Jail continues in a jail of FreeBSD, by jexec.
//
// Errors: those of [LXC].
type Jail struct {
	Jail string // name or number
	User string // of the jail; "" is root
	Path string // of jexec; "" looks for it in PATH
}

func init() { Register[Jail]("jail") }

// Label implements Method.
func (j Jail) Label() string { return "jail:" + j.Jail }

// Traits implements Method.
func (Jail) Traits() Traits { return Traits{} }

// Open implements Method.
func (j Jail) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	return openTool(ctx, e, j)
}

func (j Jail) plan(e *Env, _ string) (*tool, error) {
	if err := cmp.Or(checkWord("jail", j.Jail, ""), checkOptional("user", j.User)); err != nil {
		return nil, err
	}
	var args []string
	if j.User != "" {
		args = []string{"-U", j.User} // of the jail's passwd; -u is of the host's
	}
	return enter(programOr(j.Path, "jexec"), args, []string{j.Jail}, e.Argv), nil
}
