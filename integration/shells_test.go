//go:build linux

package integration

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// answers checks that a context works: it knows its user and path, and returns all values of a
// byte unharmed.
func answers(t *testing.T, n *contexts.Node, uid int) {
	t.Helper()
	if id := who(t, n); id.UID != uid || id.Path != n.String() {
		t.Errorf("%v answers as %+v, want uid %d and its own path", n, id, uid)
	}
	var all [256 << 8]byte
	for i := range all {
		all[i] = byte(i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if back, err := echo.Call(ctx, n, all[:]); err != nil || !bytes.Equal(back, all[:]) {
		t.Errorf("from %v %d bytes came back, error %v, want the %d that were sent", n, len(back), err, len(all))
	}
}

// An account has a login shell and start-up files that were made for a person, not for programs.
type account struct {
	name, shell, home string
	files             map[string]string // below the home directory
	// The proof that the shell has read the files: a command for sh in the child, and its
	// output.
	ask, answer string
}

// noise is a command for every shell. It prints 512 KiB of random bytes, and 512 KiB of lines that
// look like a login and a prompt.
const noise = "head -c 524288 /dev/urandom; yes 'Last login: password: $ # > mitosis' | head -c 524288; echo\n"

var accounts = []account{
	{name: "bash", shell: "/bin/bash"},
	{name: "dash", shell: "/bin/dash"},
	{name: "ash", shell: "/usr/local/bin/ash"},
	{name: "zsh", shell: "/bin/zsh"},
	{name: "tcsh", shell: "/bin/tcsh"},
	{name: "csh", shell: "/bin/csh"},
	{name: "fish", shell: "/usr/bin/fish"},
	{name: "bsd-csh", shell: "/bin/bsd-csh"},
	{name: "ksh93", shell: "/bin/ksh93"},
	{name: "mksh", shell: "/bin/mksh"},
	{name: "lksh", shell: "/bin/lksh"},
	{name: "yash", shell: "/bin/yash"},
	{name: "posh", shell: "/bin/posh"},
	{name: "rc", shell: "/usr/bin/rc"},
	{name: "elvish", shell: "/usr/bin/elvish"},

	{name: "noise-bash", shell: "/bin/bash", files: map[string]string{".bashrc": "export SEEN=yes; " + noise}, ask: `echo $SEEN`, answer: "yes\n"},
	{name: "noise-zsh", shell: "/bin/zsh", files: map[string]string{".zshenv": "export SEEN=yes; " + noise}, ask: `echo $SEEN`, answer: "yes\n"},
	{name: "noise-tcsh", shell: "/bin/tcsh", files: map[string]string{".cshrc": "setenv SEEN yes; " + noise}, ask: `echo $SEEN`, answer: "yes\n"},
	{name: "noise-fish", shell: "/usr/bin/fish", files: map[string]string{".config/fish/config.fish": "set -x SEEN yes; " + noise}, ask: `echo $SEEN`, answer: "yes\n"},
	{name: "reads", shell: "/bin/bash", files: map[string]string{".bashrc": "echo -n 'Which environment? '; read x; export SEEN=yes\n"}, ask: `echo $SEEN`, answer: "yes\n"},
	{name: "reads-zsh", shell: "/bin/zsh", files: map[string]string{".zshenv": "echo -n 'Which environment? '; read x; export SEEN=yes\n"}, ask: `echo $SEEN`, answer: "yes\n"},
	{name: "ulimit", shell: "/bin/bash", files: map[string]string{".bashrc": "ulimit -n 64\n"}, ask: `ulimit -n`, answer: "64\n"},
	{name: "umask", shell: "/bin/bash", files: map[string]string{".bashrc": "umask 0777\n"}, ask: `umask`, answer: "0777\n"},
	{name: "unset", shell: "/bin/bash", files: map[string]string{".bashrc": "unset HOME XDG_RUNTIME_DIR LANG USER LOGNAME SHELL\n"}, ask: `echo [$HOME]`, answer: "[]\n"},
	{name: "unreadable", shell: "/bin/bash", files: map[string]string{
		".bashrc": "mkdir /tmp/closed.$$; cd /tmp/closed.$$; chmod 0 .\n"}},
	{name: "removed", shell: "/bin/bash", files: map[string]string{
		".bashrc": "mkdir /tmp/gone.$$; cd /tmp/gone.$$; rmdir /tmp/gone.$$\n"}},
	{name: "unicode", shell: "/bin/bash", files: map[string]string{".bashrc": "export PERL_UNICODE=SAD PERL5OPT=-MNothing PYTHONPATH=/nowhere SHELLOPTS; set -u -C\n"},
		ask: `echo $PERL_UNICODE $PERL5OPT $PYTHONPATH`, answer: "SAD -MNothing /nowhere\n"},
	{name: "poor", shell: "/bin/bash", files: map[string]string{
		".bashrc": "PATH=/usr/bin:/bin; IFS=x; set -f; export POSIXLY_CORRECT=1 TMPDIR=/nowhere\n"}, ask: `echo $TMPDIR`, answer: "/nowhere\n"},
}

// A child starts behind every login shell of the far side's user, and with every file that the
// shell reads at its start. One start method uses an interpreter, and one only the shell.
func TestLoginShells(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	h := lab.Host{
		SSHD: &lab.SSHD{}, Files: map[string]string{},
		// The name by which busybox is started chooses its applet.
		Setup: []string{`ln -s "$(command -v busybox)" /usr/local/bin/ash`},
	}
	for i, a := range accounts {
		h.Users = append(h.Users, lab.User{
			Name: a.name, Shell: a.shell, Home: a.home, UID: uint32(3000 + i), Keys: []string{key.Authorized},
		})
		for name, content := range a.files {
			h.Files["/home/"+a.name+"/"+name] = content
		}
	}
	host := lab.Start(t, h)
	for _, method := range []string{bootstrap.StartPerl, bootstrap.StartRAM} {
		t.Run(method, func(t *testing.T) {
			self := master(t, &contexts.Config{StartMethods: []string{method}})
			// self must be closed after the subtests have ended.
			t.Run("as", func(t *testing.T) {
				for i, a := range accounts {
					t.Run(a.name, func(t *testing.T) {
						t.Parallel()
						n := login(t, self, host, a.name, key)
						answers(t, n, 3000+i)
						if out, err := run.Call(t.Context(), n, []string{"/bin/sh", "-c", a.ask}); err != nil || a.ask != "" && out != a.answer {
							t.Errorf("%q prints %q, error %v, want %q: the shell has to read its files", a.ask, out, err, a.answer)
						}
						if got := methodOf(t, self, n); got != method {
							t.Errorf("the child was started by %s, want %s", got, method)
						}
						if err := n.Close(); err != nil {
							t.Error(err)
						}
					})
				}
			})
		})
	}
}

// A user whose home directory does not exist, or can't be entered, logs in to / and gets a message
// from the login. The child starts all the same.
func TestNoHome(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	host := lab.Start(t, lab.Host{
		Users: []lab.User{
			{Name: "homeless", Home: "none", Password: "s3cret"},
			{Name: "shutout", Password: "s3cret"},
		},
		SSHD:  &lab.SSHD{},
		Setup: []string{"chown root:root /home/shutout", "chmod 700 /home/shutout"},
	})
	before := look(host)
	for _, method := range []string{bootstrap.StartPerl, bootstrap.StartPython, bootstrap.StartRAM, bootstrap.StartDisk} {
		self := master(t, &contexts.Config{StartMethods: []string{method}})
		for i, user := range []string{"homeless", "shutout"} {
			n := child(t, self, withPassword(reach(t, host, user), "s3cret"))
			answers(t, n, 2000+i)
			if err := n.Close(); err != nil {
				t.Errorf("closing the context of %s by %s: %v, want no error", user, method, err)
			}
		}
	}
	before.restored(t, patience)
}

// methodOf returns the start method of a context.
func methodOf(t *testing.T, self, n *contexts.Node) string {
	t.Helper()
	tree, err := self.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range tree {
		if info.Node == n {
			return info.StartMethod
		}
	}
	var known []string
	for _, info := range tree {
		known = append(known, fmt.Sprint(info.ID, " ", info.Path))
	}
	t.Fatalf("the tree has %s, want %v in it", strings.Join(known, ", "), n)
	return ""
}
