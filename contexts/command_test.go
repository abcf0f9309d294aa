//go:build unix

package contexts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
)

// everywhere runs a test with the master and with a grandchild of it.
func everywhere(t *testing.T, f func(t *testing.T, n *contexts.Node)) {
	self := start(t, nil)
	leaf := child(t, child(t, self))
	t.Run("master", func(t *testing.T) { f(t, self) })
	t.Run("grandchild", func(t *testing.T) { f(t, leaf) })
}

// shell returns a command that runs a script with sh.
func shell(t *testing.T, n *contexts.Node, script string, args ...string) *contexts.Command {
	return n.Command(t.Context(), "sh", append([]string{"-c", script, "sh"}, args...)...)
}

func TestCommandOutput(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		for name, c := range map[string]struct {
			want string
			make func() *contexts.Command
		}{
			"arguments": {"<a b><><\xff\n'\"$x>", func() *contexts.Command {
				return n.Command(t.Context(), "printf", "<%s>", "a b", "", "\xff\n'\"$x")
			}},
			"directory": {dir + dir, func() *contexts.Command {
				c := shell(t, n, `printf %s%s "$(pwd)" "$PWD"`)
				c.Dir = dir
				return c
			}},
			"environment": {"2-\xfe-set", func() *contexts.Command {
				c := shell(t, n, `printf %s-%s-%s "$A" "$B" "${PATH:+set}"`)
				c.Env = []string{"A=1", "A=2", "B=\xfe"}
				return c
			}},
			"nothing but its own environment": {"A=1\n", func() *contexts.Command {
				c := n.Command(t.Context(), "/usr/bin/env")
				c.Env, c.ClearEnv = []string{"A=1"}, true
				return c
			}},
			"no input": {"0", func() *contexts.Command { return shell(t, n, `printf %s $(wc -c)`) }},
			"input": {"in and out", func() *contexts.Command {
				c := n.Command(t.Context(), "cat")
				c.Stdin = strings.NewReader("in and out")
				return c
			}},
			"much input": {strings.Repeat("x", 3<<20), func() *contexts.Command {
				c := n.Command(t.Context(), "cat")
				c.Stdin = strings.NewReader(strings.Repeat("x", 3<<20))
				return c
			}},
			"input that is not wanted": {"done", func() *contexts.Command {
				c := shell(t, n, "exec <&-; printf done")
				c.Stdin = strings.NewReader(strings.Repeat("x", 3<<20))
				return c
			}},
		} {
			out, err := c.make().Output()
			if err != nil || string(out) != c.want {
				t.Errorf("%s: the command printed %.200q, error %v, want %.200q", name, out, err, c.want)
			}
		}
	})
}

func TestCommandOutputsAreApart(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		var out, errOut strings.Builder
		c := shell(t, n, "echo out; echo err >&2; echo out; exit 3")
		c.Stdout, c.Stderr = &out, &errOut
		err := c.Run()
		exit, ok := errors.AsType[*contexts.ExitError](err)
		if !ok || exit.Code != 3 || exit.Signal != 0 || !strings.Contains(err.Error(), n.String()) {
			t.Errorf("the command ended with %v, want the status 3 and the path %v", err, n)
		}
		if out.String() != "out\nout\n" || errOut.String() != "err\n" {
			t.Errorf("the outputs are %q and %q, want out twice and err", &out, &errOut)
		}
		if s := c.ProcessState; s == nil || s.PID != c.Pid || s.Code != 3 || s.ShellStatus() != 3 {
			t.Errorf("the state is %+v, want the status 3 of process %d", s, c.Pid)
		}
		both, err := shell(t, n, "echo 1; echo 2 >&2; echo 3; echo 4 >&2").CombinedOutput()
		if err != nil || string(both) != "1\n2\n3\n4\n" {
			t.Errorf("both outputs together are %q, %v, want 1 to 4 in order", both, err)
		}
	})
}

func TestCommandFails(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		for name, c := range map[string]struct {
			name string
			set  func(*contexts.Command)
			want error
		}{
			"unknown name":           {"no-such-program", nil, exec.ErrNotFound},
			"name of nothing":        {"", nil, fs.ErrInvalid},
			"unknown path":           {dir + "/missing", nil, fs.ErrNotExist},
			"not executable":         {plain, nil, fs.ErrPermission},
			"a directory":            {dir, nil, fs.ErrPermission},
			"no such directory":      {"true", func(c *contexts.Command) { c.Dir = dir + "/missing" }, fs.ErrNotExist},
			"directory is a file":    {"true", func(c *contexts.Command) { c.Dir = plain }, syscall.ENOTDIR},
			"zero byte in argument":  {"true", func(c *contexts.Command) { c.Args = append(c.Args, "a\x00b") }, fs.ErrInvalid},
			"variable without value": {"true", func(c *contexts.Command) { c.Env = []string{"A"} }, fs.ErrInvalid},
			"huge terminal":          {"true", func(c *contexts.Command) { c.Pty = &contexts.Pty{Rows: 1 << 20} }, fs.ErrInvalid},
			"no file to source":      {"true", func(c *contexts.Command) { c.SourceEnv = dir + "/missing" }, nil},
		} {
			cmd := n.Command(t.Context(), c.name)
			if c.set != nil {
				c.set(cmd)
			}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = endless{}, io.Discard, nil
			err := cmd.Run()
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: the command ended with %v, want %v (any error if that is nil)", name, err, c.want)
			}
			if _, ok := err.(*contexts.Error); !ok {
				t.Errorf("%s: the error is a %T, want a *contexts.Error", name, err)
			}
		}
		c := n.Command(t.Context(), "true")
		if err := c.Wait(); err == nil {
			t.Error("Wait before Start returned no error, want one")
		}
		if err := c.Run(); err != nil {
			t.Error(err)
		}
		if err := c.Run(); err == nil {
			t.Error("a second Run of a Command returned no error, want one")
		}
	})
}

// endless is an input without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestCommandDiesBySignal(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		out, err := shell(t, n, "echo before; echo why >&2; kill -SEGV $$").Output()
		exit, ok := errors.AsType[*contexts.ExitError](err)
		if !ok || exit.Signal != syscall.SIGSEGV || exit.Code != -1 || exit.ShellStatus() != 128+11 {
			t.Fatalf("the command ended with %v, want SIGSEGV", err)
		}
		if string(out) != "before\n" || string(exit.Stderr) != "why\n" {
			t.Errorf("the outputs are %q and %q, want before and why", out, exit.Stderr)
		}
	})
}

// runRemotely runs a command and returns its error as the function's own.
var runRemotely = contexts.NewFunc("test.command", func(ctx context.Context, script string) (struct{}, error) {
	_, err := contexts.Self(ctx).Command(ctx, "sh", "-c", script).Output()
	return struct{}{}, err
})

func TestExitErrorTravels(t *testing.T) {
	_, err := runRemotely.Call(t.Context(), child(t, child(t, start(t, nil))), "echo why >&2; exit 7")
	exit, ok := errors.AsType[*contexts.ExitError](err)
	if !ok || exit.Code != 7 || string(exit.Stderr) != "why\n" {
		t.Errorf("the call ended with %v, want an *ExitError with status 7 and why", err)
	}
}

func TestTailOfStandardError(t *testing.T) {
	_, err := shell(t, start(t, nil), "seq 100000 >&2; exit 1").Output()
	exit, ok := errors.AsType[*contexts.ExitError](err)
	if !ok || len(exit.Stderr) > 65<<10 || !strings.HasPrefix(string(exit.Stderr), "... ") || !strings.HasSuffix(string(exit.Stderr), "\n99999\n100000\n") {
		t.Errorf("the command ended with %v, want an *ExitError with the last 64 KiB of standard error", err)
	}
}

func TestCommandPipes(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		c := shell(t, n, `while read -r line; do echo "<$line>"; done; echo end >&2`)
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		errOut, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 64)
		for i := range 20 {
			fmt.Fprintln(in, i)
			if n, err := io.ReadAtLeast(out, b, len(fmt.Sprintf("<%d>\n", i))); err != nil || string(b[:n]) != fmt.Sprintf("<%d>\n", i) {
				t.Fatalf("line %d came back as %q, %v, want it in angle brackets", i, b[:n], err)
			}
		}
		in.Close()
		if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
			t.Errorf("the rest of the output is %q, %v, want nothing", rest, err)
		}
		if rest, err := io.ReadAll(errOut); err != nil || string(rest) != "end\n" {
			t.Errorf("standard error is %q, %v, want end", rest, err)
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
		if err := c.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("a signal after the end returned %v, want %v", err, os.ErrProcessDone)
		}
	})
}

// If the writer of the output fails, the command gets the same as from a closed pipe.
func TestWriterFails(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		c := n.Command(t.Context(), "yes")
		c.Stdout = failing{}
		err := c.Run()
		exit, ok := errors.AsType[*contexts.ExitError](err)
		if !ok || exit.Signal != syscall.SIGPIPE && exit.Code != 1 || !errors.Is(err, errFailing) {
			t.Errorf("the command ended with %v, want SIGPIPE or the status 1, and %v", err, errFailing)
		}
	})
}

var errFailing = errors.New("no room")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFailing }
func (failing) Read([]byte) (int, error)  { return 0, errFailing }

// A command whose input breaks off must not treat the part as the whole.
func TestReaderFails(t *testing.T) {
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		c := shell(t, n, "cat >/dev/null; echo the end was seen")
		c.Stdin = io.MultiReader(strings.NewReader("some"), failing{})
		var out strings.Builder
		c.Stdout = &out
		if err := c.Run(); !errors.Is(err, errFailing) {
			t.Errorf("the command ended with %v, want %v", err, errFailing)
		}
		if out.Len() > 0 {
			t.Errorf("the command printed %q, want nothing: it must not reach the end of its input", &out)
		}
	})
}

func TestStdinIsAFifoWithoutEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "feed")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	everywhere(t, func(t *testing.T, n *contexts.Node) {
		// The fifo is open for reading and writing, so it never ends.
		feed, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer feed.Close()
		c := n.Command(t.Context(), "head", "-n", "1")
		c.Stdin = feed
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(feed, "first")
		if b, err := io.ReadAll(out); err != nil || string(b) != "first\n" {
			t.Errorf("the command printed %q, %v, want first", b, err)
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
		// After the command's end no goroutine reads the fifo: the test reads all of it.
		fmt.Fprintln(feed, "second")
		b := make([]byte, 64)
		if n, err := feed.Read(b); err != nil || string(b[:n]) != "second\n" {
			t.Errorf("the fifo has %q, %v, want second", b[:n], err)
		}
	})
}
