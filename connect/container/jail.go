package container

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Jail continues in a jail of FreeBSD, by jexec.
//
// Errors: those of [LXC].
type Jail struct {
	Jail string // name or number
	User string // of the jail; "" is root
	Path string // of jexec; "" looks for it in PATH
}

func init() {
	connect.Register[Jail]("jail")
	connect.RegisterSyntax("jail", func(arg string) (connect.Method, error) { return Jail{Jail: arg}, check.Name("jail", arg, "") })
}

// Label implements Method.
func (j Jail) Label() string { return "jail:" + j.Jail }

// HopWord implements [connect.WordMethod].
func (j Jail) HopWord(w *connect.Word) connect.Method {
	w.Target(j.Jail)
	w.Text("user", &j.User)
	w.Text("path", &j.Path)
	w.Check(j.check())
	return j
}

// Traits implements Method.
func (Jail) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method.
func (j Jail) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, j, j.command)
}

// DryRun implements DryRunner.
func (j Jail) DryRun() ([]string, error) { return tool.DryRun(j, j.command) }

func (j Jail) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	if err := j.check(); err != nil {
		return nil, err
	}
	var args []string
	if j.User != "" {
		args = []string{"-U", j.User} // of the jail's passwd; -u is of the host's
	}
	return enter(tool.ProgramOr(j.Path, "jexec"), args, []string{j.Jail}, e.Argv), nil
}

func (j Jail) check() error {
	return cmp.Or(check.Word("jail", j.Jail, ""), check.Optional("user", j.User))
}
