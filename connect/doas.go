package connect

import (
	"cmp"
	"context"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Doas continues as another user of the same host, by the rules of doas.conf.
// doas asks on /dev/tty, which is a terminal of its own; the link runs over a pipe
// beside it. What PAM only tells is lost, but for errors: doas has it in a buffer of
// its standard output when it gives its place to the far side.
//
// Errors: [ErrPassword], [ErrPasswordRequired], [ErrPermission] where no rule
// allows it, [ErrBadName] for a user that does not exist, [ErrStart] where there is
// no doas or no configuration.
type Doas struct {
	User     string // "" is root
	Password Secret // "" is asked for through Env.Prompt, if doas wants one
	Path     string // of doas; "" looks for it in PATH
}

func init() { Register[Doas]("doas") }

// Label implements Method.
func (d Doas) Label() string { return "doas:" + d.user() }

// Traits implements Method.
func (d Doas) Traits() Traits { return Traits{Local: true, User: d.user()} }

func (d Doas) user() string { return cmp.Or(d.User, "root") }

// Open implements Method.
func (d Doas) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	return openTool(ctx, e, d)
}

func (d Doas) plan(e *Env, _ string) (*tool, error) {
	if err := checkUser(d.user()); err != nil {
		return nil, err
	}
	return &tool{
		program: programOr(d.Path, "doas"), name: "doas",
		args:    append([]string{"-u", d.user(), "--"}, e.Argv...),
		script:  script{recognise: doasPrompt, password: d.Password, repeats: repeatsNever},
		tells:   true,
		explain: explainDoas,
	}, nil
}

// doasPrompt recognises "doas (user@host) password:", which is not translated, and
// which doas puts in place of PAM's "Password:" only (doas.c).
func doasPrompt(line string) question {
	q := accountPrompt(line)
	q.key = line
	if strings.HasPrefix(line, "doas (") {
		q.vague = false
	}
	return q
}

// explainDoas finds the class of a failure. doas ends with 1 where it fails
// itself, and speaks English only.
func explainDoas(how ending) verdict {
	return meaning(how.said, doasSays)
}

var doasSays = []saying{
	{"doas: authentication failed", verdict{class: ErrPassword}},
	{"doas: authorization failed", verdict{class: ErrPassword}}, // OpenBSD
	{"doas: a tty is required", verdict{class: ErrPasswordRequired}},
	{"doas is not enabled", verdict{ErrStart, "write rules into /etc/doas.conf"}},
	{"doas: operation not permitted", verdict{ErrPermission, "no rule of /etc/doas.conf lets this user become that one"}},
	{"doas: unknown user", verdict{class: ErrBadName}},
	{"doas: not installed setuid", verdict{class: ErrStart}},
}
