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

// A sitting is a program of a host that runs at a terminal. The test types there.
type sitting struct {
	// Immutable after sit.
	cmd      *lab.Cmd
	terminal *os.File
	read     sync.WaitGroup // ends when no process has the terminal open any more

	shown journal

	// Owned by the goroutine that types.
	before int // number of bytes that had been shown at the last answer
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
		_, _ = io.Copy(&s.shown, terminal) // EIO marks the end of a terminal
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

// answer waits until the terminal shows the next question and does not echo any more. Then it
// types text.
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

// end waits for the program. It returns its exit status and all of the terminal's output.
func (s *sitting) end() (int, string) {
	timer := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer timer.Stop()
	_ = s.cmd.Wait() // only the status counts
	s.read.Wait()
	return s.cmd.ProcessState.ExitCode(), s.shown.String()
}
