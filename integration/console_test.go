//go:build linux

package integration

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/console"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
	"github.com/mitosis-go/mitosis/internal/uart"
	"github.com/mitosis-go/mitosis/router"
)

// onTheLine starts agetty at a terminal of a host again and again, as init does.
const onTheLine = `trap "" 1; tty=$(tty); exec </dev/null >/dev/null 2>&1
while :; do setsid -w agetty -L "${tty#/dev/}" 115200 vt220; sleep 0.1; done`

// levels is the kernel's file that decides which messages the console shows. Hosts have another
// file mounted there, because the real one is the machine's.
const levels = "/proc/sys/kernel/printk"

// A serialHost is a host that is reached by a serial line.
type serialHost struct {
	*lab.Running
	wire    *uart.Wire
	console console.Login
}

// serial makes a host with a terminal at which a command runs, and a serial line to the terminal.
func serial(t *testing.T, h lab.Host, argv ...string) serialHost {
	t.Helper()
	h.Setup = append(h.Setup, "echo '7 4 1 7' >/run/printk; mount --bind /run/printk "+levels)
	h.Users = []lab.User{
		{Name: "root", Password: rootPassword}, {Name: "deploy", Password: rightPassword},
		{Name: "shut", Password: rightPassword, Shell: "/usr/sbin/nologin"}, {Name: "late", Password: rightPassword, Expired: true},
	}
	s := serialHost{Running: start(t, h)}
	far, err := s.Command(context.Background(), argv...).StartPty()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "line")
	if s.wire, err = uart.Listen(far, path, 0); err != nil {
		t.Fatal(err)
	}
	s.console = console.Login{Device: path, Password: connect.Secret(rootPassword)}
	t.Cleanup(func() {
		s.wire.Close()
		far.Close()
		if t.Failed() {
			said := s.wire.Said()
			t.Logf("on the line: %q", said[max(0, len(said)-500):])
		}
	})
	return s
}

// getty is a host with a login on a serial line.
func getty(t *testing.T) serialHost {
	t.Helper()
	return serial(t, lab.Host{}, "/bin/sh", "-c", onTheLine)
}

func (s serialHost) level(t *testing.T) string {
	t.Helper()
	text, err := s.Shell("cat " + levels)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text)
}

// back checks that only the named processes are left, and that the line is as it was before.
func (s serialHost) back(t *testing.T, limit time.Duration, prompt string, left ...string) {
	t.Helper()
	eventually(t, limit, "the line shows the prompt, and no other process runs", func() bool {
		return strings.HasSuffix(s.wire.Said(), prompt) && !slices.ContainsFunc(s.Processes(), func(p lab.Proc) bool {
			return !slices.Contains(left, p.Comm)
		})
	})
	if level := s.level(t); !strings.HasPrefix(level, "7") {
		t.Errorf("the level of kernel messages is %s, want 7 again", level)
	}
}

// atLogin checks that the getty is back.
func (s serialHost) atLogin(t *testing.T, limit time.Duration) {
	t.Helper()
	s.back(t, limit, " login: ", "sh", "setsid", "agetty")
}

// idle waits for the getty's first prompt, for tests of what happens after that.
func (s serialHost) idle(t *testing.T) scene {
	t.Helper()
	s.atLogin(t, patience)
	return look(s.Running)
}

func TestConsoleLogsInAtAGetty(t *testing.T) {
	t.Parallel()
	s := getty(t)
	before := s.idle(t)
	for user, uid := range map[string]int{"": 0, "deploy": 2001} {
		self := master(t, nil)
		c := s.console
		if c.User = user; user != "" {
			c.Password = connect.Secret(rightPassword)
		}
		n := child(t, self, c)
		answers(t, n, uid)
		answers(t, child(t, n, local.Child{}), uid)
		if level := s.level(t); strings.HasPrefix(level, "7") != (uid != 0) {
			t.Errorf("uid %d: the level of kernel messages is %s, want it lowered from 7 only for root", uid, level)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		s.atLogin(t, patience)
		before.untouched(t, "/run/printk", "/dev/pts") // no history of a shell either
	}
}

func TestConsoleFindsTheGettyAsItStarts(t *testing.T) {
	t.Parallel()
	s := getty(t)
	answers(t, child(t, master(t, nil), s.console), 0)
}

// TestConsoleErrors checks that the getty is back after each error: at once, or when login has
// waited its time after a wrong password.
func TestConsoleErrors(t *testing.T) {
	t.Parallel()
	wrong := connect.Secret(wrongPassword)
	for _, c := range []struct {
		name, user string
		password   connect.Secret
		reason     error
	}{
		{"wrong password", "deploy", wrong, connect.ErrPassword},
		{"no password", "deploy", "", connect.ErrPasswordRequired},
		{"no such user", "nobody-at-all", wrong, connect.ErrPassword},
		{"no shell", "shut", connect.Secret(rightPassword), connect.ErrPermission},
		{"expired password", "late", connect.Secret(rightPassword), connect.ErrPasswordRequired},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := getty(t)
			s.idle(t)
			s.console.User, s.console.Password = c.user, c.password
			err := refused(t, master(t, nil), s.console, c.reason, 20*time.Second)
			if !strings.Contains(err.Error(), "logging in") || strings.Contains(err.Error(), string(rightPassword)) {
				t.Errorf("the error is %q, want the phase and no password", err)
			}
		})
	}
}

func TestConsoleAsksAPersonAgain(t *testing.T) {
	t.Parallel()
	s := getty(t)
	s.idle(t)
	s.console.User, s.console.Password = "deploy", ""
	var asked []connect.Prompt
	self := master(t, &contexts.Config{Prompt: func(_ context.Context, p connect.Prompt) (string, error) {
		if asked = append(asked, p); len(asked) == 1 {
			return wrongPassword, nil
		}
		return rightPassword, nil
	}})
	answers(t, child(t, self, s.console), 2001)
	if len(asked) != 2 || strings.TrimSpace(asked[0].Text) != "Password:" || asked[0].Kind != connect.PromptPassword || asked[1].Attempt != 2 {
		t.Errorf("the person was asked %+v, want the password twice", asked)
	}
}

// TestConsoleRepairsADamagedHost works on a host without network whose root file system is
// read-only. The line has only a shell of root's, or the question of a rescue system.
func TestConsoleRepairsADamagedHost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prompt string
		argv   []string
		left   []string
	}{
		"shell":    {"# ", []string{"/bin/sh", "-i"}, []string{"sh"}},
		"sulogin":  {"# ", []string{"sulogin"}, []string{"sulogin", "bash"}},
		"askfirst": {"\x1b[6n", []string{"/bin/sh", "-c", `printf "\nPlease press Enter to activate this console. "; read x; exec busybox ash -i`}, []string{"busybox"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serial(t, lab.Host{ReadOnlyRoot: true, Remove: []string{"perl", "python3"}, Setup: []string{"ip link set eth0 down"}}, c.argv...)
			before := look(s.Running)
			for range 2 {
				n := child(t, master(t, nil), s.console)
				answers(t, n, 0)
				if err := n.Close(); err != nil {
					t.Error(err)
				}
				s.back(t, patience, c.prompt, c.left...)
			}
			before.untouched(t, "/run/printk", "/dev/pts")
			if modes, err := s.Shell("stty -a </dev/pts/0"); err != nil || !slices.Contains(strings.Fields(modes), "opost") { // off in a pipe
				t.Errorf("the terminal's modes are %s, %v, want opost again", modes, err)
			}
		})
	}
}

// quickly returns the master of a tree that notices lost links within seconds.
func quickly(t *testing.T) *contexts.Node {
	return master(t, &contexts.Config{Limits: router.Limits{Heartbeat: 500 * time.Millisecond, Missed: 3}})
}

// TestConsoleCut cuts a line. It has no end of file, so both sides notice the loss by themselves.
func TestConsoleCut(t *testing.T) {
	t.Parallel()
	s := getty(t)
	s.idle(t)
	n := child(t, quickly(t), s.console)
	if _, err := misbehave.Call(t.Context(), n, struct{}{}); err != nil {
		t.Fatal(err)
	}
	s.wire.Cut(true)
	expectGone(t, n, 4*time.Second)
	s.atLogin(t, 6*time.Second)
	s.wire.Cut(false)
	answers(t, child(t, quickly(t), s.console), 0)
}

// TestConsoleIsTakenOver has a master disappear without closing the link. Its child ends as soon
// as a user presses Enter on the line.
func TestConsoleIsTakenOver(t *testing.T) {
	t.Parallel()
	s := getty(t)
	s.idle(t)
	old := child(t, master(t, nil), s.console)
	s.wire.HangUp()
	expectGone(t, old, 2*time.Second)
	answers(t, child(t, master(t, nil), s.console), 0)
}

// TestConsoleIsDisturbed has the kernel print a message on the line. That ends the link, and the
// child ends with it.
func TestConsoleIsDisturbed(t *testing.T) {
	t.Parallel()
	s := getty(t)
	s.idle(t)
	n := child(t, master(t, nil), s.console)
	s.wire.Disturb("\r\n[ 4711.000000] EXT4-fs error (device sda1)\r\n")
	expectGone(t, n, 4*time.Second)
	s.atLogin(t, 4*time.Second)
}

// TestConsoleInterrupted cancels a connect at several moments. It ends within 5 s, and the next
// connect succeeds from the state in which the line was left.
func TestConsoleInterrupted(t *testing.T) {
	t.Parallel()
	for _, passed := range []int{1, 20, 100, 500, 2000, 100_000, 1_000_000} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			s := getty(t)
			s.idle(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			stop := errors.New("somebody pressed Ctrl-C")
			done := make(chan error, 1)
			self := master(t, nil)
			go func() {
				_, err := self.Connect(ctx, s.console)
				done <- err
			}()
			eventually(t, patience, "the connect is under way", func() bool { return s.wire.Passed() >= passed })
			begin := time.Now()
			cancel(stop)
			if err := <-done; !errors.Is(err, stop) {
				t.Errorf("the connect ended with %v, want %v", err, stop)
			}
			if took := time.Since(begin); took > stretched(5*time.Second) {
				t.Errorf("the cancelled connect took %v to end, want at most %v", took, stretched(5*time.Second))
			}
			answers(t, child(t, self, s.console), 0)
		})
	}
}

func TestConsoleSaysWhatItSaw(t *testing.T) {
	t.Parallel()
	s := serial(t, lab.Host{}, "/bin/sh", "-c", "stty -echo; echo Power on; read key; echo Loading initial ramdisk; exec sleep 1000")
	eventually(t, patience, "the host is switched on", func() bool { return strings.Contains(s.wire.Said(), "Power on") })
	s.console.Silence = 2 * time.Second
	err := refused(t, master(t, nil), s.console, connect.ErrTimeout, 15*time.Second)
	if e, ok := errors.AsType[*connect.Error](err); !ok || e.Phase != "looking for a login prompt" || !strings.Contains(e.Output, "initial ramdisk") {
		t.Errorf("the error is %v, want the phase, and the output of the boot", err)
	}
}
