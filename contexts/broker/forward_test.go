//go:build linux

package broker_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// echo serves connections, each of which gets back what it sends, with an exclamation mark at its end.
func echo(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
				_, _ = io.WriteString(c, "!")
			}()
		}
	}()
	return l
}

// said sends a text to an address, ends its direction, and returns the answer.
func answerOf(network, address, text string) (string, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

func TestForward(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	dir := filepath.Dir(socketIn(t))
	tcp, unix := echo(t, "tcp", "127.0.0.1:0"), echo(t, "unix", dir+"/echo")
	for i, listen := range []header{{"network": "tcp", "address": "127.0.0.1:0"}, {"network": "unix"}} {
		for _, to := range []net.Addr{tcp.Addr(), unix.Addr()} {
			for _, remote := range []bool{false, true} {
				if i == 1 {
					listen["address"] = fmt.Sprintf("%s/%s%v", dir, to.Network(), remote)
				}
				c := s.dial()
				c.send(header{"op": "forward", "path": "local", "listen": listen, "to": header{"network": to.Network(), "address": to.String()}, "remote": remote}, nil)
				at := c.until("that it listens", func(f *heard) bool { return f.Event == "listening" })
				if at.Network != listen["network"] {
					t.Errorf("it listens at %s, want %s", at.Network, listen["network"])
				}
				var all sync.WaitGroup
				for j := range 8 {
					all.Go(func() {
						text := strings.Repeat(fmt.Sprint(j), 100_000)
						if got, err := answerOf(at.Network, at.Address, text); got != text+"!" || err != nil {
							t.Errorf("through %v to %v: %d bytes, %v; want the same back, and the end", listen, to, len(got), err)
						}
					})
				}
				all.Wait()
				if i+len(to.Network())%2 == 0 { // one way to end it
					c.net.Close()
				} else {
					c.send(header{"cancel": true}, nil)
					c.finish().want(t, "")
				}
				eventually(t, "nobody listens any more", func() bool {
					_, err := net.Dial(at.Network, at.Address)
					return err != nil
				})
			}
		}
	}
}

func TestForwardRefusals(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	tcp := header{"network": "tcp", "address": "127.0.0.1:1"}
	taken := echo(t, "tcp", "127.0.0.1:0").Addr().String()
	for name, h := range map[string]header{
		"no ends":            {},
		"one end":            {"listen": tcp},
		"an unknown network": {"listen": header{"network": "udp", "address": "127.0.0.1:0"}, "to": tcp},
		"no address":         {"listen": header{"network": "tcp", "address": "nonsense"}, "to": tcp},
		"a taken address":    {"listen": header{"network": "tcp", "address": taken}, "to": tcp},
		"no directory":       {"listen": header{"network": "unix", "address": "/no/such/dir/sock"}, "to": tcp, "remote": true},
	} {
		a := c.ask(merged(h, header{"op": "forward", "path": "local", "timeout": 20}))
		if a.kind() == "" || a.kind() == "timeout" {
			t.Errorf("%s: %v, want an error", name, a.heard)
		}
	}
	// A connection whose address can't be reached is refused, and the next one is not.
	socket := filepath.Join(filepath.Dir(socketIn(t)), "later")
	c.send(header{"op": "forward", "path": "local", "listen": header{"network": "tcp", "address": "127.0.0.1:0"}, "to": header{"network": "unix", "address": socket}}, nil)
	at := c.until("that it listens", func(f *heard) bool { return f.Event == "listening" }).Address
	if got, err := answerOf("tcp", at, ""); err == nil {
		t.Errorf("%q and no error, want a connection that is reset", got)
	}
	echo(t, "unix", socket)
	if got, err := answerOf("tcp", at, "well"); got != "well!" {
		t.Errorf("%q, %v; want the answer", got, err)
	}
	c.send(header{"cancel": true}, nil)
	c.finish().want(t, "")
}

func TestDialEnds(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	dir := filepath.Dir(socketIn(t))
	request := func(a net.Addr) header {
		return header{"op": "dial", "path": "local", "network": a.Network(), "address": a.String(), "window": 1 << 20}
	}
	for _, l := range []net.Listener{echo(t, "tcp", "127.0.0.1:0"), echo(t, "unix", dir+"/echo")} {
		c := s.dial()
		c.send(request(l.Addr()), nil)
		c.until("that it is connected", func(f *heard) bool { return f.Event == "connected" })
		c.send(header{"stream": "data"}, []byte("hello"))
		if got := c.said("data", 5); got != "hello" {
			t.Errorf("%q, want hello", got)
		}
		c.send(header{"stream": "data", "end": true}, []byte(" there"))
		if a := c.finish().want(t, ""); a.streams["data"] != " there!" || !a.ended["data"] {
			t.Errorf("%v, want the rest and the end", a.streams)
		}
		c.send(request(l.Addr()), nil)
		c.until("that it is connected", func(f *heard) bool { return f.Event == "connected" })
		c.send(header{"cancel": true}, nil)
		c.finish().want(t, "cancelled")
	}
	// The far side ends first, and reads on.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := s.dial()
	c.send(request(l.Addr()), nil)
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = far.(*net.TCPConn).CloseWrite()
	c.until("the far end", func(f *heard) bool { return f.Stream == "data" && f.End })
	c.send(header{"stream": "data", "end": true}, []byte("still"))
	if b, err := io.ReadAll(far); string(b) != "still" || err != nil {
		t.Errorf("%q, %v; want what was sent", b, err)
	}
	far.Close()
	c.finish().want(t, "")
	// A reset is an error, and no end.
	c.send(request(l.Addr()), nil)
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	c.until("that it is connected", func(f *heard) bool { return f.Event == "connected" })
	_ = far.(*net.TCPConn).SetLinger(0)
	far.Close()
	a := c.finish()
	if a.kind() == "" || a.ended["data"] {
		t.Errorf("%v %v, want an error and no end of the data", a.heard, a.ended)
	}
	// The client's death resets the far side: it must not take that for the end.
	c.send(request(l.Addr()), nil)
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	c.until("that it is connected", func(f *heard) bool { return f.Event == "connected" })
	c.send(header{"stream": "data"}, []byte("half"))
	if _, err := io.ReadFull(far, make([]byte, 4)); err != nil {
		t.Error(err)
	}
	c.net.Close()
	if b, err := io.ReadAll(far); err == nil || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v; want that the connection was reset", b, err)
	}
	far.Close()
	l.Close()
	c = s.dial()
	for name, test := range map[string]struct{ network, address, kind string }{
		"nobody listens":     {"tcp", l.Addr().String(), "unreachable"},
		"no such socket":     {"unix", dir + "/nothing", "not_found|unreachable"},
		"no such name":       {"tcp", "no-such-host.invalid:1", "no_host"},
		"an unknown network": {"udp", "127.0.0.1:1", "usage"},
		"no address":         {"tcp", "nonsense", "usage|error"},
	} {
		t.Log(name)
		c.ask(merged(request(l.Addr()), header{"network": test.network, "address": test.address, "timeout": 20})).want(t, test.kind)
	}
}
