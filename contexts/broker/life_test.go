//go:build linux

package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/broker/client"
	"github.com/mitosis-go/mitosis/internal/usersocket"
)

func TestStop(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	busy := s.dial()
	busy.send(sh("echo $$; exec sleep 1000"), nil)
	pid := busy.started()
	c := s.dial()
	c.ask(header{"op": "stop", "when": "later"}).want(t, "usage")
	c.ask(header{"op": "stop"}).want(t, "")
	if err := s.wait("a client has told it to"); err != nil {
		t.Errorf("%v, want no error", err)
	}
	busy.until("the end of its output or the last frame", func(f *heard) bool { return f.final() }).wantKind(t, "closed|gone")
	if alive(pid) {
		t.Error("the broker has ended, and a command of it has not")
	}
	if _, err := client.Dial(t.Context(), s.socket); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("%v, want that no broker is running", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(s.socket)); len(left) != 1 || !strings.HasSuffix(left[0].Name(), ".lock") {
		t.Errorf("%v, want the lock only", left)
	}
}

// A broker that is to end when it is idle lets its clients end their requests, and the next broker
// begins meanwhile.
func TestStopWhenIdle(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	busy := s.dial()
	busy.send(sh("echo ready; read line; echo $line", header{"stdin": true}), nil)
	busy.said("stdout", len("ready\n"))
	lease := s.dial()
	lease.ask(header{"op": "open", "path": "local"}).want(t, "")
	s.dial().ask(header{"op": "stop", "when": "idle"}).want(t, "")
	eventually(t, "the socket is removed", func() bool {
		_, err := os.Lstat(s.socket)
		return err != nil
	})
	next := serve(t, &broker.Config{Socket: s.socket})
	if next.dial().run("echo next") != "next\n" {
		t.Error("the next broker does not serve")
	}
	busy.send(header{"stream": "stdin", "end": true}, []byte("well\n"))
	if a := busy.finish().want(t, ""); a.streams["stdout"] != "well\n" {
		t.Errorf("%v, want the output", a.streams)
	}
	select {
	case <-s.done:
		t.Error("the broker has ended, and a client has a lease")
	default:
	}
	lease.ask(header{"op": "close", "lease": 1}).want(t, "")
	if err := s.wait("its last use has ended"); err != nil {
		t.Errorf("%v, want no error", err)
	}
	if next.dial().run("echo next") != "next\n" {
		t.Error("the next broker has ended with the last one")
	}
	// Without any use it ends at once.
	next.dial().ask(header{"op": "stop", "when": "idle"}).want(t, "")
	_ = next.wait("it was told to end when idle")
}

func TestIdleEnd(t *testing.T) {
	t.Parallel()
	const idle = 300 * time.Millisecond
	s := serve(t, &broker.Config{Idle: idle})
	c := s.dial()
	began := time.Now()
	for time.Since(began) < 3*idle {
		c.run("true")
	}
	// One that only looks does not count, nor does one that watches.
	s.dial().send(header{"op": "events"}, nil)
	last := time.Now()
	for {
		if _, err := c.readStatus(); err != nil {
			break
		}
	}
	if err := s.wait("nobody uses it"); err != nil {
		t.Errorf("%v, want no error", err)
	}
	if took := time.Since(last); took < idle/2 {
		t.Errorf("it ended after %v, want %v", took, idle)
	}
}

// A lease and a request keep a broker from ending.
func TestUseIsNotIdle(t *testing.T) {
	t.Parallel()
	const idle = 50 * time.Millisecond
	s := serve(t, &broker.Config{Idle: idle})
	c := s.dial()
	c.ask(header{"op": "open", "path": "local"}).want(t, "")
	d := s.dial()
	if got := d.run("sleep 0.3; echo well"); got != "well\n" {
		t.Errorf("%q, want well", got)
	}
	d.net.Close()
	began := time.Now()
	for time.Since(began) < 5*idle {
		c.status()
	}
	c.net.Close()
	if err := s.wait("its last client has died"); err != nil {
		t.Errorf("%v, want no error", err)
	}
}

// Of many that start at once one serves.
func TestOneServes(t *testing.T) {
	t.Parallel()
	socket := socketIn(t)
	const many = 30
	said := make([]string, many)
	var all sync.WaitGroup
	actors := make([]*actor, many)
	for i := range actors {
		actors[i] = act(t, "broker", socket)
	}
	for i, a := range actors {
		all.Go(func() { said[i] = a.hear() })
	}
	all.Wait()
	ready := 0
	var first *actor
	for i, line := range said {
		switch line {
		case "ready":
			ready++
			first = actors[i]
		case "running":
		default:
			t.Errorf("one said %q", line)
		}
	}
	if ready != 1 {
		t.Fatalf("%d serve, want one", ready)
	}
	// In one process it is the same.
	if err := broker.Serve(t.Context(), &broker.Config{Socket: socket}); !errors.Is(err, broker.ErrRunning) {
		t.Errorf("%v, want that one is running", err)
	}
	// A killed one leaves its socket, which the next one replaces.
	_ = first.end(syscall.SIGKILL)
	if _, err := os.Lstat(socket); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Dial(t.Context(), socket); !errors.Is(err, client.ErrNotRunning) {
		t.Errorf("%v, want that none is running", err)
	}
	s := serve(t, &broker.Config{Socket: socket})
	if s.dial().run("echo well") != "well\n" {
		t.Error("the next broker does not serve")
	}
}

// Where the broker was killed, its clients learn of it at once, and what it had started ends.
func TestKilledBroker(t *testing.T) {
	t.Parallel()
	socket := socketIn(t)
	a := act(t, "broker", socket)
	a.want("ready")
	c := (&served{t: t, socket: socket}).dial()
	c.send(sh("trap '' TERM HUP; echo $$; while :; do sleep 1000; done"), nil)
	pid := c.started()
	_ = a.end(syscall.SIGKILL)
	begin := time.Now()
	for {
		if _, err := c.read(); err != nil {
			break
		}
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the client heard of it after %v", took)
	}
	gone(t, pid, 5*time.Second, "its broker was killed")
}

func TestSocketIsRemoved(t *testing.T) {
	t.Parallel()
	for _, replaced := range []bool{false, true} {
		s := serve(t, nil)
		c := s.dial()
		c.run("true")
		if err := os.Remove(s.socket); err != nil {
			t.Fatal(err)
		}
		if replaced {
			l, err := net.Listen("unix", s.socket)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
		}
		if err := s.wait("its socket was removed"); err != nil {
			t.Errorf("%v, want no error", err)
		}
		if _, err := os.Lstat(s.socket); replaced && err != nil {
			t.Errorf("the broker has removed the socket of another one: %v", err)
		}
	}
}

func TestPlacesOfSockets(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(socketIn(t))
	for name, test := range map[string]struct {
		prepare func(dir string) error
		err     error
	}{
		"others can read":    {func(dir string) error { return os.Chmod(dir, 0o750) }, usersocket.ErrExposed},
		"others can write":   {func(dir string) error { return os.Chmod(dir, 0o702) }, usersocket.ErrExposed},
		"another user's":     {func(dir string) error { return os.Chown(dir, 65534, 65534) }, usersocket.ErrExposed},
		"a file":             {func(dir string) error { return os.WriteFile(dir+"/broker.sock", []byte("precious"), 0o600) }, os.ErrExist},
		"a link to a file":   {func(dir string) error { return os.Symlink("/etc/hostname", dir+"/broker.sock") }, os.ErrExist},
		"a lock that's link": {func(dir string) error { return os.Symlink("/tmp/never", dir+"/broker.lock") }, syscall.ELOOP},
		"no directory":       {func(dir string) error { _ = os.Remove(dir); return os.WriteFile(dir, nil, 0o600) }, syscall.ENOTDIR},
	} {
		d := filepath.Join(dir, strings.ReplaceAll(name, " ", ""))
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := test.prepare(d); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := broker.Serve(ctx, &broker.Config{Socket: d + "/broker.sock", Ready: func(string) { cancel() }})
		if !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v", name, err, test.err)
		}
		cancel()
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "afile/broker.sock")); string(b) != "precious" {
		t.Errorf("the file has %q now", b)
	}
	long := filepath.Join(dir, strings.Repeat("x", 120), "broker.sock")
	if err := broker.Serve(t.Context(), &broker.Config{Socket: long}); !errors.Is(err, usersocket.ErrPathTooLong) {
		t.Errorf("%v, want that the path is too long", err)
	}
	if _, err := client.Dial(t.Context(), long); !errors.Is(err, usersocket.ErrPathTooLong) {
		t.Errorf("the client: %v, want that the path is too long", err)
	}
	if err := broker.Serve(t.Context(), &broker.Config{Socket: "relative/broker.sock"}); err == nil {
		t.Error("a relative path was taken")
	}
	// A directory that is missing is made, and is the user's alone.
	s := serve(t, &broker.Config{Socket: filepath.Join(dir, "new/below/broker.sock")})
	for _, name := range []string{"new", "new/below"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v; want mode 0700", info.Mode(), err)
		}
	}
	if info, err := os.Lstat(s.socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestSocketPath(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/77")
	t.Setenv("XDG_CACHE_HOME", "/cache")
	if got := broker.SocketPath(""); got != "/run/user/77/mitosis/broker.sock" {
		t.Error(got)
	}
	if got := broker.SocketPath("ci"); got != "/run/user/77/mitosis/broker-ci.sock" {
		t.Error(got)
	}
	t.Setenv("XDG_RUNTIME_DIR", "relative")
	if got := broker.SocketPath(""); got != "/cache/mitosis/run/broker.sock" {
		t.Error(got)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "/home/carol")
	if got := broker.SocketPath(""); got != "/home/carol/.cache/mitosis/run/broker.sock" {
		t.Error(got)
	}
	t.Setenv("HOME", "")
	if err := broker.Serve(t.Context(), nil); err == nil {
		t.Error("a broker serves without a directory")
	}
}

// Another user's process is refused, root's too.
func TestOtherUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	dir, err := os.MkdirTemp("/tmp", "mb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const nobody = 65534
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "broker.sock")
	a := actAs(t, nobody, "broker", socket)
	a.want("ready")
	if _, err := client.Dial(t.Context(), socket); !errors.Is(err, usersocket.ErrOtherUser) {
		t.Errorf("the client of root: %v, want that the broker is another user's", err)
	}
	c := (&served{t: t, socket: socket}).connect()
	_ = c.out.Write(wireGreeting, wireStatus)
	c.wantEnd("root at a user's broker")
	b := actAs(t, nobody, "client", socket, "id -u")
	if got := b.hear(); got != fmt.Sprint(nobody) {
		t.Errorf("%q, want the user's own client served", got)
	}
}
