//go:build linux

package integration

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The command line asks at the terminal, hides what is typed before the
// question stands there, and leaves the terminal as it was.
func TestCommandLineAsksAtTheTerminal(t *testing.T) {
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
				t.Errorf("status %d:\n%s", status, shown)
			}
			if strings.Contains(shown, "level=") {
				t.Errorf("the log has what the error says:\n%s", shown)
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
		eventually(t, patience, "the terminal to show what is typed again", func() bool { return s.echoes(t) })
		if status, shown := s.end(); status != 128+int(unix.SIGTERM) {
			t.Errorf("status %d:\n%s", status, shown)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		var stderr bytes.Buffer
		cmd := o.command(t.Context(), "run", hop, "--", "true")
		cmd.SysProcAttr.Setsid = true
		cmd.Stderr = &stderr
		from := time.Now()
		if err := cmd.Run(); err == nil || !strings.Contains(stderr.String(), `asking "`+question+`": nobody can be asked`) {
			t.Errorf("%v after %v: %s", err, time.Since(from), stderr.String())
		}
	})
}
