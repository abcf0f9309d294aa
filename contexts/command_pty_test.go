//go:build unix

package contexts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
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
			t.Errorf("the command printed %q, %v, want 33 111, vt100 and a terminal in /dev", out, err)
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
			t.Error("Resize before Start returned no error, want one")
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
			t.Errorf("after Resize the command printed %q, %v, want 40 100", b, err)
		}
		err = c.Wait()
		if exit, ok := errors.AsType[*contexts.ExitError](err); !ok || exit.Code != 6 {
			t.Errorf("the command ended with %v, want the status 6", err)
		}
	})
}

// On a terminal, standard input is typed, and its end is typed as well.
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
			// Until the shell has turned the echo off, input would be echoed.
			b := make([]byte, len("ready\n"))
			if _, err := io.ReadFull(out, b); err != nil || string(b) != "ready\n" {
				t.Fatalf("the shell printed %q, %v, want ready", b, err)
			}
			go func() {
				_, _ = io.WriteString(in, text)
				_ = in.Close()
			}()
			all, err := io.ReadAll(out)
			if err != nil || string(all) != text+"\nbye\n" {
				t.Errorf("%.40q came back as %.60q, %v, want the same text and bye", text, all, err)
			}
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
		}
	})
}

// Output that a command prints right before its end is not lost, because the kernel keeps it.
func TestTerminalLosesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		for range 10 {
			c := n.Command(t.Context(), "seq", "20000")
			c.Pty = new(contexts.Pty)
			out, err := c.Output()
			if err != nil || strings.Count(string(out), "\r\n") != 20000 || !strings.HasSuffix(string(out), "\n20000\r\n") {
				t.Errorf("%d lines arrived, error %v, want 20000", strings.Count(string(out), "\n"), err)
			}
		}
	})
}

// A shell on a terminal runs each job in a process group of its own. The job in the foreground
// ends with the shell.
func TestCancelHangsUpATerminal(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) { // under nohup, as the shell and its job would
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
	}
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
			t.Fatalf("the job %d is in the group %d, error %v, want a group of its own", job, group, err)
		}
		cancel()
		begin := time.Now()
		if err := c.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled shell ended with %v, want %v", err, context.Canceled)
		}
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("a shell that ignores SIGTERM took %v to end, want at most 30s", took)
		}
		isGone(t, c.Pid, 30*time.Second)
		isGone(t, job, 30*time.Second)
	})
}

// The environment that a file sets is found out only once.
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
			t.Errorf("the command printed %q, want the variables of the file", got)
		}
		write("exit 1")
		if got := get("B=mine"); got != "two\nlines|mine\n" {
			t.Errorf("the second command printed %q, want the variables of the file as it was, and B=mine", got)
		}
		broken := n.Command(t.Context(), "true")
		broken.SourceEnv = filepath.Join(filepath.Dir(file), "none")
		if err := broken.Run(); err == nil || !strings.Contains(err.Error(), broken.SourceEnv) {
			t.Errorf("a command with a missing file ended with %v, want an error that names the file", err)
		}
		login := n.Command(t.Context(), "sh", "-c", `echo "${HOME:+home} ${USER:+user} ${PATH:+path}"`)
		login.LoginEnv = true
		if out, err := login.Output(); err != nil || string(out) != "home user path\n" {
			t.Errorf("the command with LoginEnv printed %q, %v, want HOME, USER and PATH set", out, err)
		}
	})
}
