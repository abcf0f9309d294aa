//go:build linux

package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/broker/client"
)

// spawn is a Start that spawns a broker at a socket, which ends when it was idle for so long.
func spawn(t testing.TB, socket, idle string) func(context.Context) error {
	self := executable(t)
	return func(ctx context.Context) error {
		return broker.Spawn(ctx, []string{"/usr/bin/env", roleVariable + "=spawned", self, socket, idle})
	}
}

// A broker that is spawned outlives its starter, and ends by itself.
func TestSpawnOutlivesItsStarter(t *testing.T) {
	t.Parallel()
	socket := socketIn(t)
	a := actWith(t, func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }, "starter", socket, "2s")
	pid := 0
	if line := a.hear(); strings.HasPrefix(line, "error") {
		t.Fatal(line)
	} else if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(-a.Cmd.Process.Pid, syscall.SIGHUP) // as a terminal that is closed
	_ = a.end(0)
	s := &served{t: t, socket: socket}
	if got := s.dial().run("echo well"); got != "well\n" {
		t.Errorf("%q, want well", got)
	}
	cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if cwd != "/" {
		t.Errorf("the broker is in %q, want the root directory", cwd)
	}
	for fd := range 3 {
		if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); to != "/dev/null" {
			t.Errorf("descriptor %d of the broker is %s, want /dev/null", fd, to)
		}
	}
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("the broker is in session %d, want its own, %d (%v)", sid, pid, err)
	}
	eventually(t, "the broker ends by itself", func() bool { return !alive(pid) })
}

func TestSpawn(t *testing.T) {
	t.Parallel()
	socket := socketIn(t)
	start := spawn(t, socket, "1m")
	ctx := t.Context()
	if err := start(ctx); err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(ctx, socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(first.PID, syscall.SIGKILL) })
	if err := start(ctx); err != nil {
		t.Errorf("where one is running: %v, want no error", err)
	}
	if again, err := c.Status(ctx); err != nil || again.PID != first.PID {
		t.Errorf("%v, %v; want the same broker", again, err)
	}
	if err := c.Stop(ctx, false); err != nil {
		t.Fatal(err)
	}
	// This process started it, and leaves no zombie of it.
	eventually(t, "nothing is left of the broker", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", first.PID))
		return err != nil
	})
}

func TestSpawnFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(socketIn(t))
	for name, test := range map[string]struct {
		start func(context.Context) error
		says  string
	}{
		"no program":           {func(ctx context.Context) error { return broker.Spawn(ctx, []string{dir + "/no/program"}) }, "can't be started"},
		"another program":      {func(ctx context.Context) error { return broker.Spawn(ctx, []string{"/bin/true"}) }, "before it was ready"},
		"one that dies":        {spawn(t, dir+"/s", "die"), "exit status 3"},
		"one that can't serve": {spawn(t, dir+"/s", "fail"), "absolute"},
	} {
		if err := test.start(t.Context()); err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line that says %q", name, err, test.says)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := broker.Spawn(ctx, []string{"/bin/sleep", "1000"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that says nothing: %v, want the end of ctx", err)
	}
	if _, err := broker.Dial(t.Context(), &broker.DialConfig{Socket: dir + "/s", Start: spawn(t, dir+"/s", "fail")}); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("%v, want the reason why it did not start", err)
	}
}

// Many that start a broker at once, while others stop it, all get one.
func TestManyStartOne(t *testing.T) {
	t.Parallel()
	socket := socketIn(t)
	start := spawn(t, socket, "1s")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				begin := time.Now()
				c, err := broker.Dial(ctx, &broker.DialConfig{Socket: socket, Start: start})
				if err != nil {
					t.Errorf("after %v: %v", time.Since(begin), err)
				}
				if err == nil {
					c.Close()
				}
				if i == 0 {
					if c, err := client.Dial(ctx, socket); err == nil {
						_ = c.Stop(ctx, false)
						c.Close()
					}
				}
				cancel()
			}
		})
	}
	all.Wait()
}

// With a plain Serve in its place it serves all the same.
func TestServeSpawnedWithoutStarter(t *testing.T) {
	socket := socketIn(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready := false
	err := broker.ServeSpawned(ctx, &broker.Config{Socket: socket, Ready: func(string) { ready = true; cancel() }})
	if !ready || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, ready: %v; want that it served", err, ready)
	}
}
