package connect

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Sudo continues as another user of the same host. sudo gets a controlling
// terminal of its own, on which it asks for the password, while the link runs
// over a pipe beside it: requiretty, use_pty and interactive passwords work,
// and the link is not slowed by a terminal.
//
// Errors: [ErrPassword], [ErrPasswordRequired], [ErrPermission] where the
// rules do not allow it, [ErrStart] where there is no sudo, [ErrBadName].
type Sudo struct {
	User        string // "" is root
	Password    Secret // "" is asked for through Config.Prompt, if sudo wants one
	PreserveEnv bool   // -E
	SetHome     bool   // -H
	Login       bool   // -i: by way of the user's login shell
	Role        string // -r, SELinux
	Type        string // -t, SELinux
	Path        string // of sudo; "" looks for it in PATH
}

func init() { Register[Sudo]("sudo") }

// Label implements Method.
func (s Sudo) Label() string { return "sudo:" + s.user() }

// LocalUser implements LocalMethod.
func (s Sudo) LocalUser() string { return s.user() }

func (s Sudo) user() string {
	if s.User == "" {
		return "root"
	}
	return s.User
}

// Open implements Method.
func (s Sudo) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	hop := s.Label()
	for _, name := range []string{s.user(), s.Role, s.Type} {
		if name == "" {
			continue
		}
		if err := checkUser(name); err != nil {
			return nil, &Error{Hop: hop, Err: err}
		}
	}
	path := s.Path
	if path == "" {
		path = "sudo"
	}
	path, err := exec.LookPath(path)
	if err != nil {
		return nil, &Error{Hop: hop, Phase: "looking for sudo", Err: fmt.Errorf("%w: %w", ErrStart, err)}
	}
	token := "mitosis-" + rand.Text()[:16] + ":"
	p, err := startTool(ctx, tool{
		hop: hop, env: e, path: path, args: s.args(token, e), terminal: true,
		secret: s.Password, token: token, classify: classifySudo,
		environ: englishMessages(os.Environ()),
	})
	if err != nil {
		return nil, err
	}
	if s.Login {
		// A login shell that sudo starts without a command reads commands
		// from its standard input. sudo's own way of passing one through
		// that shell leaves dollar signs unescaped.
		if _, err := p.Write([]byte(e.Line + "\n")); err != nil {
			_ = p.Close()
			return nil, &Error{Hop: hop, Err: fmt.Errorf("%w: %w", ErrEOF, err)}
		}
	}
	return p, nil
}

func (s Sudo) args(token string, e *Env) []string {
	args := []string{"sudo", "-p", token, "-u", s.user()}
	for _, o := range []struct {
		set  bool
		name string
	}{{s.PreserveEnv, "-E"}, {s.SetHome, "-H"}, {s.Login, "-i"}} {
		if o.set {
			args = append(args, o.name)
		}
	}
	if s.Role != "" {
		args = append(args, "-r", s.Role)
	}
	if s.Type != "" {
		args = append(args, "-t", s.Type)
	}
	if s.Login {
		return args
	}
	return append(append(args, "--"), e.Argv...)
}

// englishMessages asks a tool for messages that can be recognised, and leaves
// the rest of the locale alone.
func englishMessages(environ []string) []string {
	kept := make([]string, 0, len(environ)+1)
	all := ""
	for _, v := range environ {
		switch {
		case strings.HasPrefix(v, "LANGUAGE="), strings.HasPrefix(v, "LC_MESSAGES="):
			continue
		case strings.HasPrefix(v, "LC_ALL="):
			all = strings.TrimPrefix(v, "LC_ALL=")
			continue
		}
		kept = append(kept, v)
	}
	if all != "" { // it would override the next
		kept = append(kept, "LC_CTYPE="+all)
	}
	return append(kept, "LC_MESSAGES=C")
}

// classifySudo finds the class of a failure in what sudo said. Its exit status
// is 1 for all of them, so that the text decides; a text that is not known
// leaves the class open.
func classifySudo(said string) error {
	for _, c := range []struct {
		err  error
		text []string
	}{
		{ErrPassword, []string{"incorrect password attempt", "Authentication failure"}},
		{ErrPasswordRequired, []string{"a password is required", "no password was provided", "a terminal is required to"}},
		{ErrPermission, []string{"is not in the sudoers file", "is not allowed to execute", "may not run sudo",
			"is not allowed to run sudo", "account validation failure", "is not permitted", "effective uid is not 0",
			"must have a tty", "is not allowed to preserve"}},
		{ErrBadName, []string{"unknown user", "unknown group"}},
	} {
		for _, text := range c.text {
			if strings.Contains(said, text) {
				return c.err
			}
		}
	}
	return errors.New("sudo ended")
}
