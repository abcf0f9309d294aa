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

// Su continues as another user of the same host, by that user's password. It works with the
// su of util-linux, shadow, busybox and the BSDs. The user's login shell runs the command.
//
// su may ask on any of its standard descriptors, so all three are a terminal of its own. The
// link runs over a pipe beside it, or over a socket as standard output if the user's shell
// is csh or tcsh, which close other descriptors.
//
// su asks for the password once, in any language. Its other questions, such as for a code or
// a new password in place of an expired one, go to OpenRequest.Prompt, and texts that need
// no answer to OpenRequest.Notify. su takes 2 to 3 s to refuse a wrong password.
//
// Errors: [connect.ErrPassword]; [connect.ErrPasswordRequired]; [connect.ErrPermission] if
// PAM does not allow it or the account may not log in; [connect.ErrBadName] if there is no
// such user; [connect.ErrStart] if there is no su.
type Su struct {
	User        string         // "" is root
	Password    connect.Secret // "" is asked for through OpenRequest.Prompt, if su wants one
	Login       bool           // -l: with the user's own environment and home directory
	PreserveEnv bool           // -m: with the environment of this process, HOME and SHELL included
	Shell       string         // -s: the shell to run; "" is the login shell
	Path        string         // of su; "" looks for it in PATH
}

func init() {
	connect.Register[Su]("su")
	connect.RegisterSyntax("su", func(arg string) (connect.Method, error) { return Su{User: arg}, nil })
}

// Label implements Method.
func (s Su) Label() string { return "su:" + s.user() }

// HopWord implements [connect.WordMethod].
func (s Su) HopWord(w *connect.Word) connect.Method {
	w.Target(s.User)
	w.Flag("login", &s.Login)
	w.Flag("preserve-env", &s.PreserveEnv)
	w.Text("shell", &s.Shell)
	w.Text("path", &s.Path)
	w.Secret(&s.Password)
	w.Check(s.check())
	return s
}

// Traits implements Method.
func (s Su) Traits() connect.Traits { return connect.Traits{Local: true, User: s.user()} }

func (s Su) user() string { return cmp.Or(s.User, "root") }

// Open implements Method.
func (s Su) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, s, s.command)
}

// DryRun implements DryRunner.
func (s Su) DryRun() ([]string, error) { return tool.DryRun(s, s.command) }

func (s Su) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	var args []string
	if s.Login {
		args = append(args, "-l")
	}
	if s.PreserveEnv {
		args = append(args, "-m")
	}
	if s.Shell != "" {
		args = append(args, "-s", s.Shell)
	}
	socket, line := tool.NoSocket, tool.BesideTerminal(e).CommandLine
	if s.shellCloses() {
		socket = tool.SocketAtOut
		line = tool.OnSocket(e, socket).CommandLine
	}
	return &tool.Tool{
		Program: tool.ProgramOr(s.Path, "su"), Name: "su", Terminal: connect.TerminalStdio, Socket: socket,
		// -c goes behind the user: in front, some versions take it for a login class.
		Args:    append(args, s.user(), "-c", line),
		Answers: tool.Answers{Recognise: tool.WordedPrompt, Password: s.Password, Repeats: tool.RepeatsNever},
		Tells:   true,
		Explain: explainSu,
	}, nil
}

func (s Su) check() error {
	return cmp.Or(check.User(s.user()), check.Dir("shell", cmp.Or(s.Shell, "/"))) // "/" passes the check
}

// explainSu finds the class of a failure. su ends with status 1 if it fails itself, and says
// why in a language that PAM chooses. In English it prints "su: " and, seconds later, the
// rest.
func explainSu(how tool.Ending) failure.Verdict {
	v := failure.Meaning(how.Said, suSays)
	asked := how.Tally.Passwords > 0 || how.Tally.Other != ""
	switch {
	case v.Class == connect.ErrPassword && !asked:
		v.Class = connect.ErrPermission // none was asked for, so none can be wrong
	case v.Class == nil && asked && how.Status.ExitCode() == 1 && strings.HasPrefix(lastOf(how.Said), "su: "):
		v.Class = connect.ErrPassword
	}
	return v
}

func lastOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

const noLogin = "the account has no login shell: name another (su:USER?shell=/bin/sh), or use sudo"

var suSays = []failure.Saying{
	failure.Says("bad file descriptor", connect.ErrStart, "this su, or the shell that it starts, closes the descriptors of the link: name another shell (su:USER?shell=/bin/sh), or use sudo"),
	failure.Says("does not exist", connect.ErrBadName, ""),
	failure.Says("unknown user", connect.ErrBadName, ""), // busybox
	failure.Says("unknown login", connect.ErrBadName, ""),
	failure.Says("no passwd entry", connect.ErrBadName, ""), // shadow
	failure.Says("account is currently not available", connect.ErrPermission, noLogin),
	failure.Says("expired", connect.ErrPermission, failure.ExpiredHint),
	failure.Says("permission denied", connect.ErrPermission, "PAM allows this su to some users only, often to the group wheel"),
	failure.Says("must be run from a terminal", connect.ErrStart, ""),
	failure.Says("authentication failure", connect.ErrPassword, ""),
	failure.Says("incorrect password", connect.ErrPassword, ""), // busybox
	failure.Says("sorry", connect.ErrPassword, ""),              // the BSDs
	failure.Says("failed to execute", connect.ErrStart, noLogin),
	failure.Says("can't execute", connect.ErrStart, noLogin), // busybox
}
