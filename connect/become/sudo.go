// Package become continues as another user of the same host: [Sudo], [Su] and [Doas].
package become

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Sudo continues as another user of the same host. sudo gets a controlling terminal of its
// own, on which it asks for the password, while the link runs over a pipe beside it. So
// requiretty, use_pty and interactive passwords work, and no terminal slows the link.
//
// The prompt for the password is recognised in any language, by a token that sudo is told to
// print, and answered once echo is off. The far side inherits the user's locale unchanged.
// Other questions of PAM, such as for a code or a new password in place of an expired one,
// go to OpenRequest.Prompt in PAM's words, and texts that need no answer to
// OpenRequest.Notify.
//
// A password was wrong if sudo says so and asks again. With passprompt_override in sudoers
// all questions have the same words: if sudo has said nothing in between, the second one is
// another question.
//
// Errors: [connect.ErrPassword]; [connect.ErrPasswordRequired]; [connect.ErrPermission] if the
// rules do not allow it or the account is locked; [connect.ErrTimeout] if sudo gave up
// waiting for the password; [connect.ErrStart] if there is no sudo; [connect.ErrBadName].
type Sudo struct {
	User        string         // name or "#uid"; "" is root
	Group       string         // -g, name or "#gid"
	Password    connect.Secret // "" is asked for through OpenRequest.Prompt, if sudo wants one
	PreserveEnv bool           // -E
	KeepEnv     []string       // --preserve-env=: the names of variables
	SetHome     bool           // -H
	Login       bool           // -i: by way of the user's login shell
	Role        string         // -r, SELinux
	Type        string         // -t, SELinux
	Path        string         // of sudo; "" looks for it in PATH
}

func init() {
	connect.Register[Sudo]("sudo")
	connect.RegisterSyntax("sudo", func(arg string) (connect.Method, error) { return Sudo{User: arg}, nil })
}

// Label implements Method.
func (s Sudo) Label() string { return "sudo:" + s.user() }

// HopWord implements [connect.WordMethod].
func (s Sudo) HopWord(w *connect.Word) connect.Method {
	w.Target(s.User)
	w.Text("group", &s.Group)
	w.Flag("preserve-env", &s.PreserveEnv)
	w.List("keep-env", &s.KeepEnv)
	w.Flag("set-home", &s.SetHome)
	w.Flag("login", &s.Login)
	w.Text("role", &s.Role)
	w.Text("type", &s.Type)
	w.Text("path", &s.Path)
	w.Secret(&s.Password)
	w.Check(s.check())
	return s
}

// Traits implements Method.
func (s Sudo) Traits() connect.Traits { return connect.Traits{Local: true, User: s.user()} }

func (s Sudo) user() string {
	if s.User == "" {
		return "root"
	}
	return s.User
}

// Open implements Method.
func (s Sudo) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, s, s.command)
}

// DryRun implements DryRunner.
func (s Sudo) DryRun() ([]string, error) { return tool.DryRun(s, s.command) }

func (s Sudo) command(e *connect.OpenRequest, token string) (*tool.Tool, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return &tool.Tool{
		Program: tool.ProgramOr(s.Path, "sudo"), Name: "sudo", Args: append(s.flags(), s.stage(tool.WithBeginning(e, dropPrompt))...),
		Environ: []string{"SUDO_PROMPT=" + sudoAsks(token)},
		Answers: tool.Answers{Recognise: sudoPrompt(token), Password: s.Password, Repeats: tool.RepeatsWithWord},
		Tells:   true,
		Explain: s.explain,
		Token:   token, Instead: "sudo",
	}, nil
}

func (s Sudo) check() error {
	for _, id := range []string{s.user(), s.Group} {
		if err := check.User(id); err != nil && id != "" && !isNumber(strings.TrimPrefix(id, "#")) {
			return err
		}
	}
	for _, name := range append([]string{s.Role, s.Type}, s.KeepEnv...) {
		if err := check.User(name); err != nil && name != "" {
			return err
		}
		if strings.ContainsAny(name, "=,") {
			return fmt.Errorf("%w: %q", connect.ErrBadName, name)
		}
	}
	if s.Login && (s.PreserveEnv || len(s.KeepEnv) > 0) {
		return fmt.Errorf("%w: a login shell makes its own environment: it can't keep that of the caller", connect.ErrBadName)
	}
	return nil
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// sudoAsks is the prompt that sudo is told to print. %p is the user whose password is asked
// for, who with targetpw, rootpw and runaspw is not the caller.
//
// It is in the environment, because with -p it would replace every prompt of PAM, also that
// for a second factor. SUDO_PROMPT replaces PAM's own "Password:" only, in the language of the
// user (sudoers(5), passprompt_override). dropPrompt removes it at the far side.
func sudoAsks(token string) string { return "[" + token + "] password for %p: " }

const dropPrompt = "unset SUDO_PROMPT;"

// flags are sudo's own arguments.
func (s Sudo) flags() []string {
	flags := []string{"-u", s.user()}
	for _, o := range []struct {
		set  bool
		flag string
	}{{s.PreserveEnv, "-E"}, {s.SetHome, "-H"}, {s.Login, "-i"}} {
		if o.set {
			flags = append(flags, o.flag)
		}
	}
	for _, o := range []struct{ flag, value string }{{"-g", s.Group}, {"-r", s.Role}, {"-t", s.Type}} {
		if o.value != "" {
			flags = append(flags, o.flag, o.value)
		}
	}
	if len(s.KeepEnv) > 0 {
		flags = append(flags, "--preserve-env="+strings.Join(s.KeepEnv, ","))
	}
	return append(flags, "--")
}

// stage returns the first stage as arguments of sudo. With -i, sudo joins them by spaces for
// the login shell and puts a backslash before every character but letters, digits,
// underscores, dashes and dollar signs (sudo(8)). The shell would expand dollar signs, so the
// script must not have any.
func (s Sudo) stage(e *connect.OpenRequest) []string {
	if !s.Login || len(e.Argv) == 0 {
		return e.Argv
	}
	return tool.ArgvWithoutDollars(e)
}

// sudoPrompt recognises the prompt with our token, that of sudo-rs, which prints its own name
// in front of PAM's prompt, and by their words those of PAM for the password.
func sudoPrompt(token string) func(line string) tool.Question {
	ours := tool.TokenPrompt(token)
	return func(line string) tool.Question {
		if rest, isRust := strings.CutPrefix(line, "[sudo: "); isRust {
			text := rest[strings.LastIndex(rest, "] ")+1:]
			q := tool.AccountPrompt(text)
			if q.Vague = false; q.Asks != tool.AsksNothing {
				q.Text = strings.ReplaceAll(line, token, "sudo")
			}
			return q
		}
		if q := ours(line); q.Asks != tool.AsksNothing {
			q.Text = "[sudo" + q.Text
			return q
		}
		q := tool.AccountPrompt(line)
		q.Key = line
		return q
	}
}

// explain finds the class of a failure. It tells a user who does not exist from one whom no
// rule covers also if sudo speaks an unknown language.
func (s Sudo) explain(how tool.Ending) failure.Verdict {
	v := explainSudo(how)
	if v.Class == connect.ErrPermission && how.Tally.Passwords == 0 && noSuchUser(s.user()) {
		v.Class = connect.ErrBadName
	}
	return v
}

// noSuchUser reports whether the system says that there is no such user. It returns false
// if the system does not answer in time.
func noSuchUser(name string) bool {
	if strings.HasPrefix(name, "#") {
		return false // sudo takes any number
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "id", "-u", name)
	cmd.WaitDelay = time.Second
	_, failed := errors.AsType[*exec.ExitError](cmd.Run())
	return failed && ctx.Err() == nil
}

// explainSudo finds the class of a failure. The exit status is 1 for all of them (sudo(8)). So
// the number of passwords that were asked for decides, or the words of sudo if they are
// English: PAM and sudoers can choose another language.
func explainSudo(how tool.Ending) failure.Verdict {
	if how.Status.ExitCode() != 1 {
		return failure.Verdict{} // of the far side, or a signal
	}
	v := failure.Meaning(how.Said, sudoSays)
	switch {
	case v.Class != nil:
	case how.Tally.Passwords > 1:
		v.Class = connect.ErrPassword // it was asked for again, so that one was wrong
	default:
		v.Class = connect.ErrPermission
	}
	return v
}

var sudoSays = []failure.Saying{
	failure.Says("account expired", connect.ErrPermission, failure.ExpiredHint), // sudo says also that a password is required
	failure.Says("incorrect password attempt", connect.ErrPassword, ""),
	failure.Says("incorrect authentication attempt", connect.ErrPassword, ""), // sudo-rs
	failure.Says("maximum 3 incorrect", connect.ErrPassword, ""),
	failure.Says("timed out reading password", connect.ErrTimeout, ""),
	failure.Says("a password is required", connect.ErrPasswordRequired, ""),
	failure.Says("no password was provided", connect.ErrPasswordRequired, ""),
	failure.Says("a terminal is required to", connect.ErrPasswordRequired, ""),
	failure.Says("unknown user", connect.ErrBadName, ""),
	failure.Says("unknown group", connect.ErrBadName, ""),
	failure.Says("user not found", connect.ErrBadName, ""), // sudo-rs
}
