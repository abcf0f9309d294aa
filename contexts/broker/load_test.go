//go:build linux

package broker_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// figures are those of this process, which has the broker.
func figures() (goroutines, descriptors int, heap uint64) {
	runtime.GC()
	runtime.GC() // package net keeps pipes for splice until then
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, _ := os.ReadDir("/proc/self/fd")
	return runtime.NumGoroutine(), len(fds), m.HeapAlloc
}

// A thousand requests leave nothing behind.
func TestNoGrowth(t *testing.T) {
	s := serve(t, nil)
	request := func(n int) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				c := s.dial()
				defer c.net.Close()
				for i := range n / 8 {
					h := header{"op": "exec", "path": "local", "argv": []string{"cat"}, "stdin": true}
					if i%2 == 1 {
						h = header{"op": "put", "path": "local", "target": fmt.Sprintf("%s.%p", s.socket, c)}
					}
					a, err := c.askQuietly(h, strings.Repeat("x", 1000))
					if err != nil || a.kind() != "" {
						t.Errorf("%v, %v; want that it succeeds", a, err)
						return
					}
				}
			})
		}
		all.Wait()
		look := s.dial()
		eventually(t, "only one client is there", func() bool { return len(look.status().Clients) == 1 })
		look.net.Close()
	}
	request(200)
	goroutines, descriptors, heap := figures()
	request(1000)
	eventually(t, "there is no more of anything than before", func() bool {
		g, d, h := figures()
		return g <= goroutines+2 && d <= descriptors+2 && h < heap+4<<20
	})
	if t.Failed() {
		g, d, h := figures()
		t.Logf("%d goroutines, %d descriptors, %d bytes; before %d, %d, %d", g, d, h, goroutines, descriptors, heap)
	}
}

// Clients that are killed at random moments, by the hundred, leave nothing behind.
func TestRandomDeaths(t *testing.T) {
	current := goleak.IgnoreCurrent()
	starter := goleak.IgnoreTopFunction("github.com/mitosis-go/mitosis/connect/internal/tool.serveStarts") // it is for all of the process
	s := serve(t, &broker.Config{MaxClients: 40})
	keeper := s.dial()
	keeper.run("true")
	_, descriptors, _ := figures()
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 200 {
		if i%20 == 0 {
			all.Wait()
		}
		all.Go(func() {
			c, err := net.Dial("unix", s.socket)
			if err != nil {
				t.Error(err)
				return
			}
			one := &conn{t, c.(*net.UnixConn), wire.NewReader(c), wire.NewWriter(c)}
			r := rand.New(rand.NewPCG(uint64(i), 1))
			frames := []wire.Frame{wireGreeting, frameOf([]header{
				sh("trap '' TERM; exec sleep 8888", header{"stdin": true}),
				sh("cat /dev/zero"),
				sh("cat", header{"pty": header{}, "stdin": true, "window": 5}),
				{"op": "put", "path": "local", "target": fmt.Sprintf("%s/%d", dir, i)},
				{"op": "get", "path": "local", "source": "/proc/self/exe"},
				{"op": "open", "path": "local/local"},
				{"op": "open", "path": "ask:z", "prompts": true},
				{"op": "forward", "path": "local", "listen": header{"network": "unix", "address": fmt.Sprintf("%s/s%d", dir, i)}, "to": header{"network": "tcp", "address": "127.0.0.1:1"}},
				{"op": "dial", "path": "local", "network": "unix", "address": s.socket},
				{"op": "events"}, {"op": "status"}, {"op": "join"},
				{"op": "call", "path": "local", "function": "brokertest.block", "encoding": "json"},
				{"op": "list_dir", "path": "local", "name": "/usr/bin"},
			}[i%14], "{}"), frameOf(header{"stream": "stdin"}, strings.Repeat("x", 5000)), frameOf(header{"cancel": true}, "")}
			for _, f := range frames[:1+r.IntN(len(frames))] {
				_ = one.out.Write(f)
			}
			for range r.IntN(6) {
				_ = one.net.SetReadDeadline(soon())
				if _, err := one.read(); err != nil {
					break
				}
			}
			if r.IntN(3) == 0 {
				_, _ = c.Write([]byte("\x00\x00\x00\x09\x00"))
			}
			c.Close()
		})
	}
	all.Wait()
	eventually(t, "nothing is in use", func() bool { st := keeper.status(); return st.Uses == 0 && len(st.Clients) == 1 })
	eventually(t, "no process of a dead client is left", func() bool { return keeper.run("pgrep -fx 'sleep 8888' || true") == "" })
	left, _ := os.ReadDir(dir)
	for _, f := range left {
		t.Errorf("%s is left", f.Name())
	}
	eventually(t, "the descriptors are closed", func() bool {
		_, now, _ := figures()
		return now <= descriptors+2
	})
	keeper.net.Close()
	s.cancel()
	_ = s.wait("its ctx has ended")
	if err := goleak.Find(current, starter); err != nil {
		t.Error(err)
	}
}

// Client processes that are killed at random moments end what they started within a second.
func TestKilledProcesses(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.dial().run("true")
	var all sync.WaitGroup
	for i := range 12 {
		a := act(t, "client", s.socket, "echo $$; trap '' TERM HUP; while :; do sleep 1000; done")
		if i%3 == 0 {
			_ = a.end(syscall.SIGKILL) // before it has said anything
			continue
		}
		all.Go(func() {
			pid := 0
			if _, err := fmt.Sscan(a.hear(), &pid); err != nil {
				t.Error(err)
				return
			}
			_ = a.end(syscall.SIGKILL)
			gone(t, pid, deathTime, "its client was killed")
		})
	}
	all.Wait()
	look := s.dial()
	eventually(t, "nothing is in use", func() bool { return look.status().Uses == 0 })
}
