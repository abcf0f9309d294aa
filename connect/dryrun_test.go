//go:build linux

package connect

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// tellsItself is a method of somebody's own.
type tellsItself struct{ argv []string }

func (tellsItself) Label() string { return "own" }
func (tellsItself) Open(context.Context, *Env) (bootstrap.Carrier, error) {
	return nil, errors.New("not to be opened")
}
func (m tellsItself) DryRun() ([]string, error) { return m.argv, nil }

// dryRuns are command lines as they will be run, words with spaces in brackets.
var dryRuns = []struct {
	m    Method
	want string
}{
	{Local{}, "/proc/self/exe"},
	{Command{Argv: []string{"vagrant", "ssh", "-c", "{line}"}}, "vagrant ssh -c [exec /bin/sh -c '...']"},
	{Command{Argv: []string{"runuser", "-u", "app", "--"}}, "runuser -u app -- /bin/sh -c ..."},
	{Command{Argv: []string{"login"}, Terminal: TerminalStdio}, "login /bin/sh -c [exec <&3 >&4 3<&- 4>&-;...]"},
	{Sudo{Password: "hidden"}, "sudo -p [[...] password for %p: ] -u root -- /bin/sh -c ..."},
	{OpenSSH{Host: "web1", Keepalive: -1, Password: "hidden"}, "ssh -T -o LogLevel=INFO -o NumberOfPasswordPrompts=1 -- web1 [exec /bin/sh -c '...']"},
	{Su{Password: "hidden"}, "su root -c [exec /bin/sh -c 'exec <&3 >&4 3<&- 4>&-;...']"},
	{Su{User: "app", Login: true, PreserveEnv: true, Shell: "/bin/sh", Path: "/opt/su"},
		"/opt/su -l -m -s /bin/sh app -c [exec /bin/sh -c 'exec <&3 >&4 3<&- 4>&-;...']"},
	{Doas{}, "doas -u root -- /bin/sh -c ..."},
	{Doas{User: "app", Password: "hidden"}, "doas -u app -- /bin/sh -c ..."},
	{tellsItself{[]string{"own", "tool"}}, "own tool"},
}

func showArgv(argv []string) string {
	var words []string
	for _, word := range argv {
		if strings.Contains(word, " ") {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestDryRun(t *testing.T) {
	for _, c := range dryRuns {
		argv, err := DryRun(c.m)
		if err != nil {
			t.Errorf("%#v: %v", c.m, err)
			continue
		}
		if got := showArgv(argv); got != c.want {
			t.Errorf("%s: %s\nnot %s", c.m.Label(), got, c.want)
		}
		if strings.Contains(strings.Join(argv, " ")+c.m.Label(), "hidden") {
			t.Errorf("%s: the secret shows", c.m.Label())
		}
	}
	if argv, err := DryRun(SSH{Host: "web1"}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v, %v for a method without a program", argv, err)
	}
}

// badNames are methods that name something which a tool would take for an option,
// or for something else than a name.
var badNames = []Method{
	Sudo{User: "-s"}, Su{User: "-c"}, Su{Shell: "sh"}, Su{Shell: "-x"}, Doas{User: "-s"}, Doas{User: "a b"},
}

func TestNamesAreRefusedByEachMethod(t *testing.T) {
	for _, m := range badNames {
		if argv, err := DryRun(m); !errors.Is(err, ErrBadName) {
			t.Errorf("%#v: %q, %v", m, argv, err)
		}
		c, err := m.Open(t.Context(), far(`exit`).Env)
		if !errors.Is(err, ErrBadName) {
			t.Errorf("%#v was opened: %v", m, err)
		}
		if err == nil {
			c.Close()
		}
	}
}
