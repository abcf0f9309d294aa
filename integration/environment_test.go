//go:build linux

package integration

import (
	"testing"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// A command can have the environment that its user has after login. That works with every shell,
// even if the shell prints something during the login.
func TestLoginEnvironment(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"/home/bash/.profile":                 "echo noise; echo noise >&2; export SAID=by-bash",
		"/home/dash/.profile":                 "echo noise; SAID=by-dash; export SAID",
		"/home/zsh/.zprofile":                 "echo noise; export SAID=by-zsh",
		"/home/fish/.config/fish/config.fish": "if status is-login; echo noise; set -x SAID by-fish; end",
		"/home/tcsh/.login":                   "echo noise; setenv SAID by-tcsh",
		"/opt/venv/activate":                  "SAID=$SAID-and-venv",
	}
	h := lab.Host{Files: files}
	for _, shell := range []string{"bash", "dash", "zsh", "fish", "tcsh"} {
		h.Users = append(h.Users, lab.User{Name: shell, Shell: "/usr/bin/" + shell})
	}
	host := start(t, h)
	self := master(t, nil)
	for _, u := range h.Users {
		n := enter(t, self, host, u.Name)
		for _, c := range []struct {
			login  bool
			source string
			want   string
		}{
			{false, "", ""},
			{true, "", "by-" + u.Name},
			{true, "/opt/venv/activate", "by-" + u.Name + "-and-venv"},
		} {
			cmd := n.Command(t.Context(), "sh", "-c", `printf %s "$SAID"`)
			cmd.LoginEnv, cmd.SourceEnv = c.login, c.source
			out, err := cmd.Output()
			if err != nil || string(out) != c.want {
				t.Errorf("the command of %s printed %q, %v, want %q (%+v)", u.Name, out, err, c.want, c)
			}
		}
		out, err := n.LoginShell(t.Context(), "-c", "echo $HOME; pwd").Output()
		if want := "/home/" + u.Name + "\n"; err != nil || string(out) != want+want {
			t.Errorf("the login shell of %s printed %q, %v, want %q twice", u.Name, out, err, want)
		}
	}
}
