//go:build linux

package broker_test

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// deathTime is how long a command may live after its client, or after cancel.
const deathTime = time.Second

func TestBoundsOfTime(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	for name, test := range map[string]struct {
		request header
		kind    string
	}{
		"the request's time":         {sh("sleep 1000", header{"timeout": 0.05}), "timeout"},
		"its time, behind a child":   {sh("trap '' TERM; sleep 1000 & wait; wait", header{"timeout": 0.05}), "timeout"},
		"no output":                  {sh("echo a; exec sleep 1000", header{"idle_timeout": 0.05}), "idle"},
		"time for connecting":        {sh("true", header{"connect_timeout": 1e-9, "path": "local/local/local"}), "timeout"},
		"a time that is long enough": {sh("true", header{"timeout": 1e300, "connect_timeout": 1e12, "idle_timeout": 30}), ""},
		"times without meaning":      {sh("true", header{"timeout": -1, "connect_timeout": -1e300, "idle_timeout": -3}), ""},
	} {
		a := c.ask(test.request)
		if a.kind() != test.kind {
			t.Errorf("%s: %v, want kind %q", name, a.heard, test.kind)
		}
	}
	if c.run("echo well") != "well\n" {
		t.Error("after all that the connection does not work")
	}
}

// A cancel has a last frame, whenever it comes, and is nothing to the next request.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	c.run("true")
	for name, script := range map[string]string{
		"a sleeping command":           "echo $$; exec sleep 1000",
		"one that does not obey":       "trap '' TERM INT HUP; echo $$; while :; do sleep 1000; done",
		"one whose child does not":     "(trap '' TERM; sleep 1000) & echo $$; wait",
		"one that has much to say":     "echo $$; cat /dev/zero",
		"one that reads":               "echo $$; cat",
		"one that is stopped":          "echo $$; kill -STOP $$",
		"one with other process group": "echo $$; set -m; sleep 1000 & wait",
	} {
		c.send(sh(script, header{"stdin": script == "echo $$; cat"}), nil)
		pid := c.started()
		c.said("stdout", 2)
		c.send(header{"cancel": true}, nil)
		begin := time.Now()
		c.finish().want(t, "cancelled")
		if took := time.Since(begin); took > 2*deathTime {
			t.Errorf("%s: the last frame came %v after cancel", name, took)
		}
		if alive(pid) {
			t.Errorf("%s: the last frame came, and the command is there", name)
		}
		if c.run("echo well") != "well\n" {
			t.Errorf("after %s the connection does not work", name)
		}
	}
	// At random moments: before, while and after.
	for i := range 200 {
		c.send(header{"op": "exec", "path": "local", "argv": []string{"echo", fmt.Sprint(i)}}, nil)
		for range i % 5 {
			if f := c.next(); f.final() {
				t.Fatalf("%v, want output first", f)
			}
			if i%5 == 4 {
				break
			}
		}
		c.send(header{"cancel": true}, nil)
		if a := c.finish(); a.kind() != "" && a.kind() != "cancelled" {
			t.Errorf("%v, want the end of the command or of the request", a.heard)
		}
	}
	if c.run("echo well") != "well\n" {
		t.Error("after all that the connection does not work")
	}
}

// A client that dies ends what it has started, and nothing else.
func TestDeathOfAClient(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	other := s.dial()
	other.send(sh("echo $$; read line; echo $line", header{"stdin": true}), nil)
	other.started()
	other.said("stdout", 2)
	for _, script := range []string{
		"echo $$; exec sleep 1000",
		"trap '' TERM HUP INT; echo $$; while :; do sleep 1000; done",
		"echo $$; cat /dev/zero",
		"trap '' TERM; (trap '' TERM; sleep 1000) & echo $!; wait; wait; wait",
	} {
		a := act(t, "client", s.socket, script)
		pid := 0
		if _, err := fmt.Sscan(strings.TrimRight(a.hear(), "\x00"), &pid); err != nil || !alive(pid) {
			t.Fatalf("%s: no process %d: %v", script, pid, err)
		}
		_ = a.end(syscall.SIGKILL)
		gone(t, pid, deathTime, "its client was killed: "+script)
	}
	other.send(header{"stream": "stdin", "end": true}, []byte("alive\n"))
	if a := other.finish().want(t, ""); a.streams["stdout"] != "alive\n" {
		t.Errorf("%v, want the output of the client that lives", a.streams)
	}
	eventually(t, "nothing is in use", func() bool { return other.status().Uses == 0 })
}

// Clients that die at any moment leave nothing in use.
func TestDeathAtAnyMoment(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	c.run("true")
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			c := s.connect()
			c.send(header{"mitosis": "client", "version": 1}, nil)
			c.send(sh(fmt.Sprintf("echo $$; exec sleep 70%02d", i)), nil)
			for range i % 4 { // greeting, started, output
				if _, err := c.read(); err != nil {
					t.Error(err)
				}
			}
			c.net.Close()
		})
	}
	all.Wait()
	eventually(t, "nothing is in use", func() bool { st := c.status(); return st.Uses == 0 && len(st.Clients) == 1 })
	for i := range 40 {
		eventually(t, "no process of a dead client is left", func() bool { return c.run(fmt.Sprintf("pgrep -fx 'sleep 70%02d' || true", i)) == "" })
	}
}

// Jobs that are to be kept are kept.
func TestKeepJobs(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	a := c.ask(sh("setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!", header{"keep_jobs": true})).want(t, "")
	pid := 0
	if _, err := fmt.Sscan(a.streams["stdout"], &pid); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	c.net.Close()
	s.cancel()
	_ = s.wait("its ctx has ended")
	if !alive(pid) {
		t.Error("the job has not outlived the broker")
	}
}
