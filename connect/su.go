package connect

import (
	"cmp"
	"context"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Su continues as another user of the same host, by that user's password. su
// asks on its standard input, or through PAM on whatever the modules choose, so
// its standard input, output and error are a terminal of its own; the link runs
// over a pipe beside it, whose descriptors su leaves open, or over a socket as standard
// output where the user's shell is csh or tcsh, which close them. It works with the su
// of util-linux, shadow, busybox and the BSDs.
//
// The command is run by the user's login shell. su asks for the password once,
// in whatever language, and anything else that it asks (a code, a new password in
// place of an expired one) is asked through Env.Prompt; what it tells is shown through
// Env.Notify. It takes 2 to 3 s to
// tell that a password is wrong.
//
// Errors: [ErrPassword], [ErrPasswordRequired], [ErrPermission] where PAM does
// not allow it or the account may not log in, [ErrBadName] for a user that does not
// exist, [ErrStart] where there is no su.
type Su struct {
	User        string // "" is root
	Password    Secret // "" is asked for through Env.Prompt, if su wants one
	Login       bool   // -l: with the user's own environment and home directory
	PreserveEnv bool   // -m: with ours, HOME and SHELL included
	Shell       string // -s: in place of the login shell; "" is that one
	Path        string // of su; "" looks for it in PATH
}

func init() { Register[Su]("su") }

// Label implements Method.
func (s Su) Label() string { return "su:" + s.user() }

// Traits implements Method.
func (s Su) Traits() Traits { return Traits{Local: true, User: s.user()} }

func (s Su) user() string { return cmp.Or(s.User, "root") }

// Open implements Method.
func (s Su) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	return openTool(ctx, e, s)
}

func (s Su) plan(e *Env, _ string) (*tool, error) {
	if err := checkUser(s.user()); err != nil {
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
		if err := checkDir("shell", s.Shell); err != nil {
			return nil, err
		}
		args = append(args, "-s", s.Shell)
	}
	onSocket, line := s.shellCloses(), e.besideTerminal().Line
	if onSocket {
		line = e.withBeginning(takeSocket).Line
	}
	return &tool{
		program: programOr(s.Path, "su"), name: "su", terminal: TerminalStdio, onSocket: onSocket,
		// Behind the user -c is su's own in some, and handed to the shell by
		// others, among them those in which it means a login class in front.
		args:    append(args, s.user(), "-c", line),
		script:  script{recognise: suPrompt, password: s.Password, repeats: repeatsNever},
		tells:   true,
		explain: explainSu,
	}, nil
}

// suPrompt recognises prompts as [anyPrompt] does, and takes those with different
// texts for different questions.
func suPrompt(line string) question {
	q := anyPrompt(line)
	q.key = line
	return q
}

// explainSu finds the class of a failure. su ends with 1 where it fails itself,
// in a language that PAM chooses; in English its text comes in two parts, "su: "
// and, some seconds later, the rest.
func explainSu(how ending) verdict {
	v := meaning(how.said, suSays)
	asked := how.tally.passwords > 0 || how.tally.other != ""
	switch {
	case v.class == ErrPassword && !asked:
		v.class = ErrPermission // none was asked for, so none can be wrong
	case v.class == nil && asked && how.status.ExitCode() == 1 && strings.HasPrefix(lastOf(how.said), "su: "):
		v.class = ErrPassword
	}
	return v
}

func lastOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

const noLogin = "the account has no login shell: name one in Shell, or use Sudo"

var suSays = []saying{
	{"bad file descriptor", verdict{ErrStart, "this su, or the shell that it starts, closes the descriptors of the link: name another in Shell, or use Command with TerminalOnly"}},
	{"does not exist", verdict{class: ErrBadName}},
	{"unknown user", verdict{class: ErrBadName}}, // busybox
	{"unknown login", verdict{class: ErrBadName}},
	{"no passwd entry", verdict{class: ErrBadName}}, // shadow
	{"account is currently not available", verdict{ErrPermission, noLogin}},
	{"expired", verdict{ErrPermission, "let root change the password or the account's date of expiry"}},
	{"permission denied", verdict{ErrPermission, "PAM allows this su to some users only, often to the group wheel"}},
	{"must be run from a terminal", verdict{class: ErrStart}},
	{"authentication failure", verdict{class: ErrPassword}},
	{"incorrect password", verdict{class: ErrPassword}}, // busybox
	{"sorry", verdict{class: ErrPassword}},              // the BSDs
	{"failed to execute", verdict{ErrStart, noLogin}},
	{"can't execute", verdict{ErrStart, noLogin}}, // busybox
}
