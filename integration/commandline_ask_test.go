//go:build linux

package integration

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// The command line asks at the terminal. It hides characters that are typed before the question
// is shown, and leaves the terminal as it was.
func TestCommandLineAsksAtTheTerminal(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	if _, err := o.web.Shell("echo app:typed | chpasswd"); err != nil {
		t.Fatal(err)
	}
	hop := strings.Replace(o.path, "deploy@", "app@", 1)
	question := "app@" + o.web.IP() + "'s password: "
	for name, c := range map[string]struct {
		answers []string
		status  int
		says    string
	}{
		"right":   {[]string{"typed\r"}, 0, "app\r\n"},
		"second":  {[]string{"mistyped\r", "typed\r"}, 0, "that was wrong"},
		"wrong":   {[]string{"mistyped\r", "mistyped\r", "mistyped\r"}, 255, "incorrect password"},
		"no more": {[]string{"mistyped\r", "\x03"}, 130, "interrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sit(t, o.command(t.Context(), "run", hop, "--", "id", "-un"))
			for _, text := range c.answers {
				s.answer(t, question, text)
			}
			status, shown := s.end()
			if status != c.status || !strings.Contains(shown, c.says) || strings.Contains(shown, "typed") {
				t.Errorf("status %d, want %d, %q and no typed character in:\n%s", status, c.status, c.says, shown)
			}
			if strings.Contains(shown, "level=") {
				t.Errorf("the log repeats the error, want no line of the log in:\n%s", shown)
			}
		})
	}
	t.Run("ended from outside", func(t *testing.T) {
		s := sit(t, o.command(t.Context(), "run", hop, "--", "id", "-un"))
		eventually(t, patience, "the question", func() bool {
			return strings.HasSuffix(s.shown.String(), question) && !s.echoes(t)
		})
		if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, patience, "the terminal echoes again", func() bool { return s.echoes(t) })
		if status, shown := s.end(); status != 128+int(unix.SIGTERM) {
			t.Errorf("status %d, want %d after SIGTERM:\n%s", status, 128+int(unix.SIGTERM), shown)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		var stderr bytes.Buffer
		cmd := o.command(t.Context(), "run", hop, "--", "true")
		cmd.SysProcAttr.Setsid = true
		cmd.Stderr = &stderr
		err := cmd.Run()
		for _, text := range []string{"a password is required", "/root/.ssh/id_ed25519 (refused)", "nobody could be asked", "the server takes publickey, password"} {
			if err == nil || !strings.Contains(stderr.String(), text) {
				t.Errorf("the command ended with %v, want an error, and want %q in: %s", err, text, stderr.String())
			}
		}
	})
}

// The texts of a PAM module are shown at once, and its questions in its own words. The answer is
// shown as it is typed if the module wants that. A question ends when the module no longer waits
// for its answer.
func TestCommandLineShowsWhatPAMTells(t *testing.T) {
	t.Parallel()
	o := newOfficeOf(t, withPAM(t, lab.Host{}, `auth required LAB [info=Pushed a login request] wait=1000
auth required LAB [info= 1. Duo Push] [echo=Passcode or option (1-2): ] want=1
auth required LAB [hidden=Verification code: ] want=424242
account required LAB [info=Your account expires soon]
`, "su"))
	hop := o.path + "/su:app"
	s := sit(t, o.command(t.Context(), "run", hop, "--", "id", "-un"))
	eventually(t, patience, "the module's text", func() bool { return strings.Contains(s.shown.String(), "su:app] Pushed a login request\r\n") })
	if strings.Contains(s.shown.String(), "Passcode") {
		t.Error("the module's text was shown together with the question, want it shown before")
	}
	eventually(t, patience, "the open question", func() bool {
		return strings.HasSuffix(s.shown.String(), "su:app: Passcode or option (1-2): ") && s.echoes(t)
	})
	if _, err := s.terminal.WriteString("1\n"); err != nil {
		t.Fatal(err)
	}
	s.answer(t, "Verification code: ", "424242\r")
	status, shown := s.end()
	for _, text := range []string{"su:app] 1. Duo Push\r\n", "su:app] Your account expires soon\r\n", "app\r\n"} {
		if !strings.Contains(shown, text) {
			t.Errorf("the terminal shows %q, want %q in it", shown, text)
		}
	}
	if status != 0 || strings.Contains(shown, "424242") || strings.Contains(shown, "was wrong") || strings.Count(shown, "Duo Push") != 1 {
		t.Errorf("status %d, want 0, one \"Duo Push\", and neither 424242 nor \"was wrong\" in:\n%s", status, shown)
	}
}

// A question that is withdrawn leaves the terminal to the next one.
func TestCommandLineWithdrawsAQuestion(t *testing.T) {
	t.Parallel()
	script := `#!/bin/sh
printf 'Contacting the server... ' >/dev/tty
until test -e /tmp/go-on; do sleep 0.05; done
printf 'done.\nCode? ' >/dev/tty
read -r code </dev/tty
shift 3
test "$code" = 4711 && exec "$@"
exit 1
`
	o := newOfficeOf(t, lab.Host{Files: map[string]string{"/usr/local/bin/doas": script}})
	s := sit(t, o.command(t.Context(), "run", o.path+"/doas:app", "--", "echo", "it works"))
	eventually(t, patience, "the text that looks like a question", func() bool {
		return strings.HasSuffix(s.shown.String(), "doas:app: Contacting the server... ")
	})
	if _, err := o.web.Shell("touch /tmp/go-on"); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the true question", func() bool { return strings.HasSuffix(s.shown.String(), "doas:app: Code? ") })
	if _, err := s.terminal.WriteString("4711\n"); err != nil {
		t.Fatal(err)
	}
	if status, shown := s.end(); status != 0 || !strings.Contains(shown, "it works") {
		t.Errorf("status %d, want 0 and \"it works\" in:\n%s", status, shown)
	}
}

// The output of one host comes above the question of another one, which is shown again, with echo and
// without.
func TestOutputComesAboveAQuestion(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"echo", "hidden"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := newOfficeOf(t, withPAM(t, lab.Host{}, "auth required LAB ["+kind+"=Code: ] want=4711\n", "su"))
			s := sit(t, o.command(t.Context(), "run", o.path+"/su:app", o.path+"/su:deploy", "--", "sh", "-c", "until test -e /tmp/go-on; do sleep 0.05; done; echo one; echo two"))
			eventually(t, patience, "the first question", func() bool { return strings.HasSuffix(s.shown.String(), ": Code: ") })
			first := s.shown.String()
			if _, err := s.terminal.WriteString("4711" + map[string]string{"echo": "\n", "hidden": "\r"}[kind]); err != nil {
				t.Fatal(err)
			}
			eventually(t, patience, "the second question", func() bool {
				return len(s.shown.String()) > len(first) && strings.HasSuffix(s.shown.String(), ": Code: ")
			})
			second := s.shown.String()
			question := second[strings.LastIndexByte(second, '\n')+1:]
			if _, err := o.web.Shell("touch /tmp/go-on"); err != nil {
				t.Fatal(err)
			}
			eventually(t, patience, "the output, and the question below it", func() bool {
				_, printed, _ := strings.Cut(s.shown.String(), second)
				return strings.HasPrefix(printed, "\r\x1b[K") && strings.Contains(printed, "one\r\n") && strings.HasSuffix(printed, "two\r\n"+question)
			})
			if _, err := s.terminal.WriteString("4711" + map[string]string{"echo": "\n", "hidden": "\r"}[kind]); err != nil {
				t.Fatal(err)
			}
			if status, shown := s.end(); status != 0 || strings.Count(shown, "two\r\n") != 2 {
				t.Errorf("status %d, want 0 and the output of both hosts in:\n%s", status, shown)
			}
		})
	}
}
