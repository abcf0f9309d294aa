//go:build linux

package broker_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/broker"
)

// The narrowing holds for requests of all kinds.
func TestAllow(t *testing.T) {
	t.Parallel()
	s := serve(t, &broker.Config{Allow: []string{"local/local", "ask:x*"}})
	c := s.dial()
	c.ask(header{"op": "exec", "path": "local/local", "argv": []string{"true"}}).want(t, "")
	c.ask(header{"op": "exec", "path": "local/local/local", "argv": []string{"true"}}).want(t, "")
	c.ask(header{"op": "open", "path": "ask:xyz"}).want(t, "password_required")
	for _, op := range []string{"open", "exec", "put", "get", "stat", "list_dir", "mkdir", "remove", "rename", "forward", "dial", "call", "reset"} {
		for _, path := range []string{"local", "ask:a", "ask:a,x", "ask:x?a"} {
			end := header{"network": "tcp", "address": "127.0.0.1:0"}
			c.ask(header{"op": op, "path": path, "argv": []string{"true"}, "target": "/tmp/x", "source": "/tmp/x", "name": "/tmp/x", "listen": end, "to": end,
				"network": "tcp", "address": "127.0.0.1:1", "function": "f"}).want(t, "refused")
		}
	}
}

// The connection that was without a request for longest gives its place to a new one.
func TestPlaces(t *testing.T) {
	t.Parallel()
	s := serve(t, &broker.Config{MaxClients: 4})
	first := s.dial()
	held := s.dial()
	held.ask(header{"op": "open", "path": "local"}).want(t, "")
	busy := s.dial()
	busy.send(sh("read line; echo $line", header{"stdin": true}), nil)
	busy.started()
	last := s.dial()
	first.run("true") // so that last is without a request for longest
	fifth := s.dial()
	if f := last.next(); f.kind() != "busy" || !f.Error.Temporary {
		t.Errorf("%v, want that its place was needed", f)
	}
	last.wantEnd("its place was needed")
	first.run("true")
	for _, c := range []*conn{first, fifth} {
		c.send(sh("read line; echo $line", header{"stdin": true}), nil)
		c.started()
	}
	// Now all have a request or a lease.
	full := s.connect()
	if f := full.next(); f.kind() != "busy" || !f.Error.Temporary {
		t.Errorf("%v, want that all places are taken for the moment", f)
	}
	full.wantEnd("all places are taken")
	for _, c := range []*conn{first, busy, fifth} {
		c.send(header{"stream": "stdin", "end": true}, []byte("well\n"))
		if a := c.finish().want(t, ""); a.streams["stdout"] != "well\n" {
			t.Errorf("%v, want the output", a.streams)
		}
	}
	held.ask(header{"op": "close", "lease": 1}).want(t, "")
	s.dial().run("true")
}

// Connections that say nothing, or half of something, keep no place.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	s := serve(t, &broker.Config{MaxClients: 6})
	var slow []*conn
	for i := range 6 {
		c := s.connect()
		if i%2 == 0 {
			c = s.dial()
		}
		_, _ = io.WriteString(c.net, "\x00\x00\x00")
		slow = append(slow, c)
	}
	for range 6 {
		if got := s.dial().run("echo well"); got != "well\n" {
			t.Errorf("%q, want well", got)
		}
	}
	for _, c := range slow {
		for {
			if _, err := c.read(); err != nil {
				break
			}
		}
	}
	// Without anybody who needs its place, one without a greeting has its time.
	c := s.connect()
	c.next()
	begin := time.Now()
	c.wantEnd("it did not greet")
	if took := time.Since(begin); took < greetingTime/2 || took > 2*greetingTime {
		t.Errorf("it was closed after %v, want %v", took, greetingTime)
	}
}

// One client that does not read holds up nobody, whatever it has asked for.
func TestUnreadClient(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, h := range []header{
		sh("cat /dev/zero"),
		sh("cat /dev/zero", header{"pty": header{}}),
		sh("cat /dev/zero >&2"),
		{"op": "get", "path": "local", "source": executable(t)},
		{"op": "events"},
	} {
		s.dial().send(h, nil)
	}
	flood := s.dial() // it asks, and reads no answers
	flood.send(header{"op": "list_dir", "path": "local", "name": "/usr/bin"}, nil)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			c := s.dial()
			for j := range 4 {
				want := fmt.Sprint(i, j)
				a, err := c.askQuietly(sh("cat", header{"stdin": true}), want)
				if err != nil || a.kind() != "" || a.streams["stdout"] != want {
					t.Errorf("client %d: %v, %v; want %s", i, a, err, want)
					return
				}
			}
		})
	}
	all.Wait()
}

// askQuietly makes a request with an input, and may be called by any goroutine.
func (c *conn) askQuietly(h header, input string) (*answer, error) {
	stream := "stdin"
	if h["op"] == "put" {
		stream = "data"
	}
	if err := c.out.Write(frameOf(h, ""), frameOf(header{"stream": stream, "end": true}, input)); err != nil {
		return nil, err
	}
	return c.readAnswer()
}

// Names of clients are shown, and bounded.
func TestStatus(t *testing.T) {
	t.Parallel()
	s := serve(t, &broker.Config{Program: "tool 1.2", Idle: time.Hour})
	c := s.connect()
	c.send(header{"mitosis": "client", "version": 1, "name": strings.Repeat("n", 3000)}, nil)
	c.next()
	c.send(text(`{"op":"exec","path":"local","argv":["sleep","1000"],"name":"`+strings.Repeat("<", 500_000)+`"}`), nil)
	c.started()
	for range 20 {
		d := s.dial()
		d.send(text(`{"op":"events","path":"`+strings.Repeat("<", 900_000)+`"}`), nil)
	}
	d := s.dial()
	eventually(t, "all are in the status", func() bool { return len(d.status().Clients) == 22 })
	st := d.status()
	if st.Program != "tool 1.2" || st.Socket != s.socket || st.IdleTimeout != 3600 || st.Uses != 1 || st.Requests != 1 || st.Retiring || time.Since(st.Since) > time.Minute {
		t.Errorf("%+v", st)
	}
	if len(st.Connections) != 1 || st.Connections[0].Path != "local" || st.Connections[0].State != "ready" || st.Connections[0].Uses != 1 || st.Connections[0].PID == 0 || st.Connections[0].BytesSent == 0 {
		t.Errorf("%+v, want one connection in use", st.Connections)
	}
	found := false
	for _, one := range st.Clients {
		if one.Op == "exec" {
			found = one.Path == "local" && one.Uses == 1 && strings.HasPrefix(one.Name, "nnn") && len(one.Name) < 1000
		}
	}
	if !found {
		t.Errorf("%+v, want the client that runs a command, and the beginning of its name", st.Clients)
	}
}
