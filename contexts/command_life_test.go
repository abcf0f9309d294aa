//go:build unix

package contexts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// family is a script for a process group of three, which prints their process IDs. None of them
// ends by itself. With "stubborn" all ignore SIGTERM.
const family = `
test "$1" = stubborn && trap "" TERM
sleep 86400 & a=$!
(while :; do sleep 86401; done) & b=$!
echo $$ $a $b
wait; wait`

// startFamily starts a command with that script and returns its process group.
func startFamily(t *testing.T, c *contexts.Command) (group int) {
	t.Helper()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var a, b int
	if _, err := fmt.Fscan(out, &group, &a, &b); err != nil {
		t.Fatal(err)
	}
	if group != c.Pid {
		t.Errorf("Pid is %d, want %d, the process ID that the command printed", c.Pid, group)
	}
	return group
}

// isGone waits for the end of a process group.
func isGone(t *testing.T, group int, limit time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(limit); !errors.Is(syscall.Kill(-group, 0), syscall.ESRCH); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(-group, syscall.SIGKILL)
			t.Fatalf("after %v the process group %d still has processes, want none", limit, group)
		}
	}
}

func TestCancelKillsTheGroup(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		for _, manner := range []string{"docile", "stubborn"} {
			reason := errors.New("changed my mind")
			ctx, cancel := context.WithCancelCause(t.Context())
			c := n.Command(ctx, "sh", "-c", family, "sh", manner)
			c.KillDelay = 200 * time.Millisecond
			group := startFamily(t, c)
			cancel(reason)
			begin := time.Now()
			err := c.Wait()
			if !errors.Is(err, reason) || !strings.Contains(err.Error(), "signal: ") {
				t.Errorf("%s: the cancelled command ended with %v, want %v and the signal", manner, err, reason)
			}
			if took := time.Since(begin); took > 5*time.Second || manner == "stubborn" && took < c.KillDelay {
				t.Errorf("%s: the end took %v, want at most 5s, and at least %v if it is stubborn", manner, took, c.KillDelay)
			}
			isGone(t, group, 5*time.Second)
		}
	})
}

func TestDeadlineKillsTheGroup(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		// On a busy machine, too, the command has to start within this time.
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		c := n.Command(ctx, "sh", "-c", family)
		group := startFamily(t, c)
		if err := c.Wait(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the command ended with %v, want %v", err, context.DeadlineExceeded)
		}
		isGone(t, group, 5*time.Second)
	})
}

func TestIdleCommandIsKilled(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		c := shell(t, n, "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; exec sleep 86400")
		c.IdleTimeout = 400 * time.Millisecond
		out, err := c.Output()
		if !errors.Is(err, contexts.ErrIdle) || string(out) != "1\n2\n3\n4\n5\n" {
			t.Errorf("the idle command printed %q and ended with %v, want the numbers to 5 and %v", out, err, contexts.ErrIdle)
		}
	})
}

func TestCancelBeforeStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := start(t, nil).Command(ctx, "true").Run(); !errors.Is(err, context.Canceled) {
		t.Errorf("a command whose ctx had ended before its start returned %v, want %v", err, context.Canceled)
	}
}

// A process that a command leaves in the background may hold the command's output open. That does
// not hold up Wait. The process runs until the context ends.
func TestDaemonHoldsTheOutput(t *testing.T) {
	self := start(t, nil)
	n := child(t, child(t, self))
	var out strings.Builder
	c := shell(t, n, "sleep 86400 & echo $!; seq 10000")
	c.WaitDelay, c.Stdout = 50*time.Millisecond, &out
	begin := time.Now()
	err := c.Run()
	if !errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("the command ended with %v, want %v", err, exec.ErrWaitDelay)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the command took %v, want at most 5s", took)
	}
	if lines := strings.Fields(out.String()); len(lines) != 10001 || lines[10000] != "10000" {
		t.Errorf("the command printed %d lines, want 10001, the last 10000", len(lines))
	}
	if c.ProcessState == nil || !c.ProcessState.Success() {
		t.Errorf("the state of the command is %v, want success", c.ProcessState)
	}
	var daemon int
	fmt.Sscan(out.String(), &daemon)
	if err := syscall.Kill(daemon, 0); err != nil {
		t.Errorf("a signal to the daemon after the command's end: %v, want it running", err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(daemon, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("a signal to the daemon after the context's end: %v, want %v", err, syscall.ESRCH)
	}
}

// The exit status is not lost if the output can't be complete.
func TestDaemonOfACommandThatFailed(t *testing.T) {
	c := shell(t, start(t, nil), "sleep 2 & exit 4")
	c.WaitDelay, c.Stdout = time.Millisecond, new(strings.Builder)
	err := c.Run()
	exit, ok := errors.AsType[*contexts.ExitError](err)
	if !ok || exit.Code != 4 || !errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("the command ended with %v, want the status 4 and %v", err, exec.ErrWaitDelay)
	}
}

// If nobody reads the output, that holds up neither the end of the command nor Wait.
func TestNobodyReadsTheOutput(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		c := n.Command(ctx, "yes")
		if _, err := c.StdoutPipe(); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the command ended with %v, want %v", err, context.DeadlineExceeded)
		}
		isGone(t, c.Pid, 5*time.Second)
	})
}

func TestSignals(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		c := shell(t, n, `trap 'echo user1' USR1; trap 'exit 9' INT; echo ready; while :; do sleep 0.01; done`)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		expect := func(line string) {
			t.Helper()
			b := make([]byte, len(line))
			if _, err := io.ReadFull(out, b); err != nil || string(b) != line {
				t.Fatalf("the command printed %q, %v, want %q", b, err, line)
			}
		}
		expect("ready\n")
		if err := c.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		expect("user1\n")
		if err := c.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrInvalid) {
			t.Errorf("signal 0 is sent with %v, want %v", err, os.ErrInvalid)
		}
		if err := c.SignalGroup(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		err = c.Wait()
		if exit, ok := errors.AsType[*contexts.ExitError](err); !ok || exit.Code != 9 {
			t.Errorf("the command ended with %v, want the status 9", err)
		}
	})
}

// Signal returns no error even if the signal ends the command.
func TestSignalThatKills(t *testing.T) {
	n := child(t, start(t, nil))
	for range 50 {
		c := n.Command(t.Context(), "sleep", "86400")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if err := c.Signal(os.Kill); err != nil {
			t.Error(err)
		}
		err := c.Wait()
		if exit, ok := errors.AsType[*contexts.ExitError](err); !ok || exit.ShellStatus() != 128+9 {
			t.Errorf("the killed command ended with %v, want the shell status 137", err)
		}
	}
}

// If any context on the way to a command is killed, no process of the command is left. The caller
// gets the reason.
func TestLossOfAContextKillsTheGroup(t *testing.T) {
	for _, victim := range []int{0, 1} {
		self := start(t, nil)
		middle := child(t, self)
		leaf := child(t, middle)
		var err error
		victims := make([]int, 2)
		for i, n := range []*contexts.Node{middle, leaf} {
			if victims[i], err = pid.Call(t.Context(), n, struct{}{}); err != nil {
				t.Fatal(err)
			}
		}
		c := shell(t, leaf, family, "stubborn")
		group := startFamily(t, c)
		if err := syscall.Kill(victims[victim], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		err = c.Wait()
		if !errors.Is(err, contexts.ErrGone) {
			t.Errorf("when context %d was killed, the command ended with %v, want %v", victim, err, contexts.ErrGone)
		}
		isGone(t, group, 5*time.Second)
	}
}

// If a function that runs a command is cancelled, the command is killed.
func TestLossOfTheCallerKillsTheGroup(t *testing.T) {
	self := start(t, nil)
	leaf := child(t, child(t, self))
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	p := runRemotely.Go(ctx, leaf, `echo $$ >`+file+`.new; mv `+file+`.new `+file+`; sleep 86400 & wait`)
	var group int
	for deadline := time.Now().Add(20 * time.Second); group == 0; <-time.After(5 * time.Millisecond) {
		if b, err := os.ReadFile(file); err == nil {
			fmt.Sscan(string(b), &group)
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	cancel()
	if _, err := p.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled call ended with %v, want %v", err, context.Canceled)
	}
	isGone(t, group, 5*time.Second)
}

// The caller gives up at any moment of a command's life. No process is left, and Run returns
// either the result of the command or the end of the ctx.
func TestCancelAtAnyMoment(t *testing.T) {
	n := child(t, child(t, start(t, nil)))
	for i := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*200*time.Microsecond)
		c := n.Command(ctx, "sh", "-c", "sleep 0.01 & echo out; wait; exit 5")
		c.KillDelay = time.Millisecond
		out, err := c.Output()
		cancel()
		exit, ok := errors.AsType[*contexts.ExitError](err)
		switch {
		case ok && exit.Code == 5 && string(out) == "out\n":
		case errors.Is(err, context.DeadlineExceeded):
		default:
			t.Errorf("moment %d: the command printed %q and ended with %v, want out and the status 5, or %v", i, out, err, context.DeadlineExceeded)
		}
		if c.Pid != 0 {
			isGone(t, c.Pid, 5*time.Second)
		}
	}
}
