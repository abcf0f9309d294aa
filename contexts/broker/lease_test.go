//go:build linux

package broker_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/pool"
)

func TestLeases(t *testing.T) {
	t.Parallel()
	s := serve(t, &broker.Config{Pool: pool.Config{Idle: -1}})
	c, look := s.dial(), s.dial()
	a := c.ask(header{"op": "open", "path": "local/local"}).want(t, "")
	if n := a.Node; a.Lease != 1 || n == nil || n.Path != "local/local" || n.PID == 0 || n.PID == os.Getpid() || n.OS != "linux" || n.User == "" || n.UID != os.Getuid() || n.Hostname == "" || n.Arch == "" {
		t.Errorf("%v, want a lease and all of its node", a.heard)
	}
	pid := a.Node.PID
	if b := c.ask(header{"op": "open", "path": "local/local"}).want(t, ""); b.Lease != 2 || b.Node.PID != pid {
		t.Errorf("%v, want another lease of the same connection", b.heard)
	}
	for range 3 {
		look.ask(header{"op": "exec", "path": "local/local", "argv": []string{"true"}}).want(t, "")
	}
	c.ask(header{"op": "close", "lease": 1}).want(t, "")
	c.ask(header{"op": "close", "lease": 1}).want(t, "usage")
	c.ask(header{"op": "close"}).want(t, "usage")
	look.ask(header{"op": "close", "lease": 2}).want(t, "usage")
	if !alive(pid) {
		t.Error("a connection with a lease was closed")
	}
	if st := look.status(); st.Uses != 1 || len(st.Connections) != 2 {
		t.Errorf("%+v, want one use, and two connections", st)
	}
	c.net.Close()
	eventually(t, "the connection of a dead client's lease is closed", func() bool { return len(look.status().Connections) == 0 && !alive(pid) })
}

// A reset in the midst of use harms nobody; the next request has a new connection.
func TestReset(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	busy, c := s.dial(), s.dial()
	busy.send(header{"op": "exec", "path": "local/local", "argv": []string{"sh", "-c", "echo $PPID; read line; echo $line"}, "stdin": true}, nil)
	busy.started()
	before := strings.TrimSpace(busy.said("stdout", 2))
	c.ask(header{"op": "reset", "path": "local"}).want(t, "")
	c.ask(header{"op": "reset", "path": "nothing:x"}).want(t, "usage")
	c.ask(header{"op": "reset", "path": "local/local/local"}).want(t, "")
	a := c.ask(header{"op": "exec", "path": "local/local", "argv": []string{"sh", "-c", "echo $PPID"}}).want(t, "")
	if after := strings.TrimSpace(a.streams["stdout"]); after == before {
		t.Error("after the reset the connection is the old one")
	}
	busy.send(header{"stream": "stdin", "end": true}, []byte("well\n"))
	if a := busy.finish().want(t, ""); a.streams["stdout"] != "well\n" {
		t.Errorf("%v, want the output of what ran", a.streams)
	}
	var pid int
	_, _ = fmt.Sscan(before, &pid)
	gone(t, pid, patience, "it was reset, and its last use has ended")
}

// A host that is lost ends what runs there, and the next request connects anew.
func TestLostHost(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	a := c.ask(header{"op": "open", "path": "local"}).want(t, "")
	d := s.dial()
	d.send(sh("sleep 1000"), nil)
	d.started()
	p, err := os.FindProcess(a.Node.PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	d.finish().want(t, "gone")
	b := d.ask(header{"op": "open", "path": "local"}).want(t, "")
	if b.Node.PID == a.Node.PID {
		t.Error("the host is the one that is dead")
	}
	c.ask(header{"op": "close", "lease": 1}).want(t, "")
}

// A host that stands still holds up no request for another one.
func TestHostThatStandsStill(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	still := c.ask(header{"op": "open", "path": "local", "pool": "still"}).want(t, "")
	c.ask(header{"op": "open", "path": "local/local", "pool": "still"}).want(t, "")
	p, err := os.FindProcess(still.Node.PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Signal(syscall.SIGCONT) }()
	begin := time.Now()
	c.ask(header{"op": "open", "path": "local", "timeout": 10}).want(t, "")
	c.run("true")
	c.status()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("requests for another host took %v", took)
	}
	c.ask(header{"op": "exec", "path": "local", "pool": "still", "argv": []string{"true"}, "timeout": 0.2}).want(t, "timeout")
}

func TestPoolsShareNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	pids := make(map[int]bool)
	for _, name := range []string{"", "bulk", "a\"<ä", ""} {
		pids[c.ask(header{"op": "open", "path": "local", "pool": name}).want(t, "").Node.PID] = true
	}
	if len(pids) != 3 {
		t.Errorf("%v, want a connection for each of three pools", pids)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := serve(t, &broker.Config{Pool: pool.Config{Idle: -1}})
	w, c := s.dial(), s.dial()
	w.send(header{"op": "events"}, nil)
	eventually(t, "it watches", func() bool {
		for _, one := range c.status().Clients {
			if one.Op == "events" {
				return true
			}
		}
		return false
	})
	state := func(want, path string) *heard {
		t.Helper()
		f := w.until(want, func(f *heard) bool { return f.Event == "host" && f.State == want && strings.HasPrefix(f.Path, path) })
		if _, err := time.Parse(time.RFC3339Nano, f.Time); err != nil {
			t.Errorf("%v: the time: %v", f, err)
		}
		return f
	}
	a := c.ask(header{"op": "open", "path": "local"}).want(t, "")
	state("connected", "local")
	p, _ := os.FindProcess(a.Node.PID)
	_ = p.Kill()
	state("lost", "local")
	c.ask(header{"op": "close", "lease": a.Lease}).want(t, "")
	c.run("true")
	state("connected", "local")
	state("closed", "local")
	c.ask(header{"op": "open", "path": "ask:nobody"}).want(t, "password_required")
	if f := state("failed", "ask:nobody"); f.Error == nil || f.Error.Kind != "password_required" || f.final() {
		t.Errorf("%v, want the error", f)
	}
	w.send(header{"cancel": true}, nil)
	w.finish().want(t, "")
	if w.run("echo well") != "well\n" {
		t.Error("the connection does not go on")
	}
}

// A client that does not read misses events, is told how many, and holds up nobody.
func TestEventsForNobody(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	w, c := s.dial(), s.dial()
	w.send(header{"op": "events"}, nil)
	path := "ask:" + strings.Repeat("x", 15_000) // so that the socket is full soon
	const many = 600
	for range many {
		c.ask(header{"op": "open", "path": path}).want(t, "password_required")
	}
	seen, missed := 0, uint64(0)
	for seen+int(missed) < many-5 { // its first event may be before it watches
		f := w.next()
		switch f.Event {
		case "host":
			seen++
		case "missed":
			missed += f.Count
		}
		if seen+int(missed) >= 256 && missed == 0 {
			c.ask(header{"op": "open", "path": "ask:short"}).want(t, "password_required")
		}
	}
	if missed == 0 {
		t.Errorf("%d events came, and none was missed", seen)
	}
}
