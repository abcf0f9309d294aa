//go:build linux

package integration

import (
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// A sitting is a program of a host that runs at a terminal, with somebody who
// types there.
type sitting struct {
	// Immutable after sit.
	cmd      *lab.Cmd
	terminal *os.File
	read     sync.WaitGroup // ends when nobody has the terminal any more

	shown journal

	// Owned by the goroutine that types.
	before int // how much had been shown at the last answer
}

// sit starts cmd at a terminal of its own.
func sit(t *testing.T, cmd *lab.Cmd) *sitting {
	t.Helper()
	terminal, far, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	s := &sitting{cmd: cmd, terminal: terminal}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = far, far, far
	cmd.SysProcAttr.Setctty = true
	err = cmd.Start()
	far.Close()
	s.read.Go(func() {
		_, _ = io.Copy(&s.shown, terminal) // the end is EIO
	})
	t.Cleanup(func() {
		if err == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		s.read.Wait()
		terminal.Close()
		if t.Failed() {
			t.Logf("at the terminal:\n%s", s.shown.String())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answer waits for the next question, until the terminal does not echo any more,
// and types.
func (s *sitting) answer(t *testing.T, question, text string) {
	t.Helper()
	eventually(t, patience, "asked at the terminal: "+question, func() bool {
		return strings.HasSuffix(s.shown.String()[s.before:], question) && !s.echoes(t)
	})
	s.before = len(s.shown.String())
	if _, err := s.terminal.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// echoes reports whether the terminal shows typed text.
func (s *sitting) echoes(t *testing.T) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(s.terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// end waits for the program and returns its exit status and all that was shown.
func (s *sitting) end() (int, string) {
	timer := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer timer.Stop()
	_ = s.cmd.Wait() // only the status counts
	s.read.Wait()
	return s.cmd.ProcessState.ExitCode(), s.shown.String()
}
