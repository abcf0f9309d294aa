//go:build unix

package contexts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

func TestTerminal(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		c := shell(t, n, `test -t 0 && test -t 1 && test -t 2 && stty size </dev/tty; echo $TERM >&2; tty`)
		c.Pty = &contexts.Pty{Rows: 33, Cols: 111, Term: "vt100"}
		out, err := c.Output()
		if err != nil || !strings.HasPrefix(string(out), "33 111\r\nvt100\r\n/dev/") {
			t.Errorf("%q, %v", out, err)
		}
	})
}

func TestTerminalIsResized(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		c := shell(t, n, `trap 'stty size; exit 6' WINCH; echo ready; while :; do sleep 0.01; done`)
		c.Pty = new(contexts.Pty)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Resize(1, 2); err == nil {
			t.Error("resized before it was started")
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, len("ready\r\n"))
		if _, err := io.ReadFull(out, b); err != nil {
			t.Fatal(err)
		}
		if err := c.Resize(40, 100); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(out); err != nil || string(b) != "40 100\r\n" {
			t.Errorf("%q, %v", b, err)
		}
		err = c.Wait()
		if exit, ok := errors.AsType[*contexts.ExitError](err); !ok || exit.Code != 6 {
			t.Errorf("%v", err)
		}
	})
}

// Standard input is typed, and its end is typed as well.
func TestInputOfATerminal(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		for _, text := range []string{"typed\n", "no line end", "", strings.Repeat("long\n", 50_000)} {
			c := shell(t, n, "stty -echo -onlcr; echo ready; cat; echo; echo bye")
			c.Pty = new(contexts.Pty)
			in, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			// What comes before the shell has turned the echo off is echoed.
			b := make([]byte, len("ready\n"))
			if _, err := io.ReadFull(out, b); err != nil || string(b) != "ready\n" {
				t.Fatalf("%q, %v", b, err)
			}
			go func() {
				_, _ = io.WriteString(in, text)
				_ = in.Close()
			}()
			all, err := io.ReadAll(out)
			if err != nil || string(all) != text+"\nbye\n" {
				t.Errorf("%.40q came back as %.60q, %v", text, all, err)
			}
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
		}
	})
}

// The kernel keeps what was printed right before the end.
func TestTerminalLosesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		for range 10 {
			c := n.Command(t.Context(), "seq", "20000")
			c.Pty = new(contexts.Pty)
			out, err := c.Output()
			if err != nil || strings.Count(string(out), "\r\n") != 20000 || !strings.HasSuffix(string(out), "\n20000\r\n") {
				t.Errorf("%d lines, %v", strings.Count(string(out), "\n"), err)
			}
		}
	})
}

// A shell on a terminal has groups of its own for what it runs. That in the
// foreground ends with the shell.
func TestCancelHangsUpATerminal(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		ctx, cancel := context.WithCancel(t.Context())
		c := n.Command(ctx, "bash", "-ic", `trap "" TERM; sh -c 'trap "" TERM; echo $$; exec sleep 86402'; echo over`)
		c.Env = []string{"HOME=" + t.TempDir()}
		c.Pty, c.KillDelay = new(contexts.Pty), time.Minute
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		var job int
		if _, err := fmt.Fscan(out, &job); err != nil {
			t.Fatal(err)
		}
		if group, err := syscall.Getpgid(job); err != nil || group != job {
			t.Fatalf("the job is in group %d, not one of its own; %v", group, err)
		}
		cancel()
		begin := time.Now()
		if err := c.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("a shell that heeds no SIGTERM took %v", took)
		}
		isGone(t, c.Pid, 30*time.Second)
		isGone(t, job, 30*time.Second)
	})
}

// The environment that a file makes is found out once.
func TestSourcedEnvironment(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		file := filepath.Join(t.TempDir(), "activate")
		write := func(s string) {
			t.Helper()
			if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		bin := t.TempDir()
		if err := os.WriteFile(filepath.Join(bin, "only-here"), []byte("#!/bin/sh\necho \"$A|$B\""), 0o700); err != nil {
			t.Fatal(err)
		}
		write("echo noise; echo noise >&2; A='two\nlines'; export A B=b; PATH=$PATH:" + bin)
		get := func(env ...string) string {
			t.Helper()
			c := n.Command(t.Context(), "only-here")
			c.SourceEnv, c.Env = file, env
			out, err := c.Output()
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}
		if got := get(); got != "two\nlines|b\n" {
			t.Errorf("%q", got)
		}
		write("exit 1")
		if got := get("B=mine"); got != "two\nlines|mine\n" {
			t.Errorf("%q", got)
		}
		broken := n.Command(t.Context(), "true")
		broken.SourceEnv = filepath.Join(filepath.Dir(file), "none")
		if err := broken.Run(); err == nil || !strings.Contains(err.Error(), broken.SourceEnv) {
			t.Errorf("%v", err)
		}
		login := n.Command(t.Context(), "sh", "-c", `echo "${HOME:+home} ${USER:+user} ${PATH:+path}"`)
		login.LoginEnv = true
		if out, err := login.Output(); err != nil || string(out) != "home user path\n" {
			t.Errorf("%q, %v", out, err)
		}
	})
}
