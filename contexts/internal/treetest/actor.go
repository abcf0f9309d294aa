package treetest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Actor is another process of the test's executable, which plays a role there.
type Actor struct {
	Cmd *exec.Cmd

	t     *testing.T
	stdin io.Closer
	lines *bufio.Scanner
	ended sync.Once
	err   error // of the process; set by End
}

// Act starts one, for which a variable of the environment has the role; change may be nil. It is
// killed when the test ends.
func Act(t *testing.T, variable, role string, change func(*exec.Cmd), args ...string) *Actor {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), variable+"="+role)
	cmd.Stderr = os.Stderr
	if change != nil {
		change(cmd)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a := &Actor{Cmd: cmd, t: t, stdin: stdin, lines: bufio.NewScanner(stdout)}
	t.Cleanup(func() { _ = a.End(syscall.SIGKILL) })
	return a
}

// Hear returns the next line that it prints.
func (a *Actor) Hear() string {
	a.t.Helper()
	late := time.AfterFunc(time.Minute, func() { _ = a.Cmd.Process.Kill() })
	defer late.Stop()
	if !a.lines.Scan() {
		a.t.Fatalf("the process said no more, want another line: %v", a.lines.Err())
	}
	return a.lines.Text()
}

// End ends it, with signal 0 by the end of its input, and returns the error of the process.
func (a *Actor) End(s syscall.Signal) error {
	a.ended.Do(func() {
		if s != 0 {
			_ = a.Cmd.Process.Signal(s)
		}
		_ = a.stdin.Close()
		late := time.AfterFunc(time.Minute, func() { _ = a.Cmd.Process.Kill() })
		defer late.Stop()
		a.err = a.Cmd.Wait()
	})
	return a.err
}
