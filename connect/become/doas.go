package become

import (
	"cmp"
	"context"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Doas continues as another user of the same host, by the rules of doas.conf. doas asks on
// /dev/tty, which is a terminal of its own. Texts of PAM that are no questions go to its standard
// output and error; they are told to OpenRequest.Notify. So its standard output is that terminal,
// and the link runs over a socket at its standard input.
//
// Errors: [connect.ErrPassword]; [connect.ErrPasswordRequired]; [connect.ErrPermission] if no
// rule allows it; [connect.ErrBadName] if there is no such user; [connect.ErrStart] if there
// is no doas or it has no configuration.
type Doas struct {
	User     string         // "" is root
	Password connect.Secret // "" is asked for through OpenRequest.Prompt, if doas wants one
	Path     string         // of doas; "" looks for it in PATH
}

func init() {
	connect.Register[Doas]("doas")
	connect.RegisterSyntax("doas", func(arg string) (connect.Method, error) { return Doas{User: arg}, nil })
}

// Label implements Method.
func (d Doas) Label() string { return "doas:" + d.user() }

// HopWord implements [connect.WordMethod].
func (d Doas) HopWord(w *connect.Word) connect.Method {
	w.Target(d.User)
	w.Text("path", &d.Path)
	w.Secret(&d.Password)
	w.Check(check.User(d.user()))
	return d
}

// Traits implements Method.
func (d Doas) Traits() connect.Traits { return connect.Traits{Local: true, User: d.user()} }

func (d Doas) user() string { return cmp.Or(d.User, "root") }

// Open implements Method.
func (d Doas) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, d, d.command)
}

// DryRun implements DryRunner.
func (d Doas) DryRun() ([]string, error) { return tool.DryRun(d, d.command) }

func (d Doas) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	if err := check.User(d.user()); err != nil {
		return nil, err
	}
	return &tool.Tool{
		Program: tool.ProgramOr(d.Path, "doas"), Name: "doas",
		Args:    append([]string{"-u", d.user(), "--"}, tool.OnSocket(e, tool.SocketAtIn).Argv...),
		Socket:  tool.SocketAtIn,
		Answers: tool.Answers{Recognise: doasPrompt, Password: d.Password, Repeats: tool.RepeatsNever},
		Tells:   true,
		Explain: explainDoas,
	}, nil
}

// doasPrompt recognises "doas (user@host) password:". It is not translated, and doas prints
// it in place of PAM's "Password:" only (doas.c).
func doasPrompt(line string) tool.Question {
	q := tool.AccountPrompt(line)
	q.Key = line
	if strings.HasPrefix(line, "doas (") {
		q.Vague = false
	}
	return q
}

// explainDoas finds the class of a failure. doas ends with status 1 if it fails itself, and
// prints English only.
func explainDoas(how tool.Ending) failure.Verdict {
	return failure.Meaning(how.Said, doasSays)
}

var doasSays = []failure.Saying{
	failure.Says("has expired", connect.ErrPermission, failure.ExpiredHint), // PAM's words, before doas says that authentication failed
	failure.Says("doas: authentication failed", connect.ErrPassword, ""),
	failure.Says("doas: authorization failed", connect.ErrPassword, ""), // OpenBSD
	failure.Says("doas: a tty is required", connect.ErrPasswordRequired, ""),
	failure.Says("doas is not enabled", connect.ErrStart, "write rules into /etc/doas.conf"),
	failure.Says("doas: operation not permitted", connect.ErrPermission, "no rule of /etc/doas.conf lets this user become that one"),
	failure.Says("doas: unknown user", connect.ErrBadName, ""),
	failure.Says("doas: not installed setuid", connect.ErrStart, ""),
}
