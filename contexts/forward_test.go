package contexts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/mitosis-go/mitosis/contexts"
)

// grandchild starts a tree of three contexts in a row, and returns the last.
func grandchild(t *testing.T) *contexts.Node {
	t.Helper()
	noLeaks(t)
	return child(t, child(t, start(t, nil)))
}

// dialPair returns a connection that a context has dialled, and its other end.
func dialPair(t *testing.T, n *contexts.Node, network string) (near net.Conn, peer net.Conn) {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "socket")
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if near, err = n.DialContext(t.Context(), network, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if peer, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); peer.Close() })
	return near, peer
}

// listenPair returns a connection that a context has accepted, and its other end.
func listenPair(t *testing.T, n *contexts.Node) (near net.Conn, peer net.Conn) {
	t.Helper()
	ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if peer, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); peer.Close() })
	return near, peer
}

// serving accepts connections at this host until the test ends.
func serving(t *testing.T, serve func(net.Conn)) net.Listener {
	t.Helper()
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return ln
}

func TestForwardedConnectionsAreConns(t *testing.T) {
	b := grandchild(t)
	sameFiles(t, b)
	for _, kind := range []string{"tcp", "unix", "listen"} {
		t.Run(kind, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				var near, peer net.Conn
				if kind == "listen" {
					near, peer = listenPair(t, b)
				} else {
					near, peer = dialPair(t, b, kind)
				}
				return near, peer, func() { near.Close(); peer.Close() }, nil
			})
		})
	}
}

func TestForwardedAddresses(t *testing.T) {
	b := grandchild(t)
	for _, kind := range []string{"dial", "listen"} {
		near, peer := dialPair(t, b, "tcp")
		if kind == "listen" {
			near, peer = listenPair(t, b)
		}
		if near.RemoteAddr().String() != peer.LocalAddr().String() || near.LocalAddr().String() != peer.RemoteAddr().String() {
			t.Errorf("%s: the addresses are %v to %v here, want those of the other end, %v to %v", kind, near.LocalAddr(), near.RemoteAddr(), peer.RemoteAddr(), peer.LocalAddr())
		}
		if _, ok := near.RemoteAddr().(*net.TCPAddr); !ok {
			t.Errorf("%s: the address is a %T, want a *net.TCPAddr", kind, near.RemoteAddr())
		}
	}
}

func TestHalfCloseAndResetArePassedOn(t *testing.T) {
	b := grandchild(t)
	sameFiles(t, b)
	for _, side := range []string{"dialled", "accepted"} {
		pair := func(t *testing.T) (net.Conn, *net.TCPConn) {
			near, peer := dialPair(t, b, "tcp")
			if side == "accepted" {
				near, peer = listenPair(t, b)
			}
			return near, peer.(*net.TCPConn)
		}
		t.Run(side+"/half-close", func(t *testing.T) {
			near, peer := pair(t)
			fmt.Fprint(near, "question")
			if err := near.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(peer); err != nil || string(got) != "question" {
				t.Fatalf("the peer read %q, %v, want question", got, err)
			}
			fmt.Fprint(peer, "answer")
			peer.Close()
			if got, err := io.ReadAll(near); err != nil || string(got) != "answer" {
				t.Errorf("the near end read %q, %v, want answer", got, err)
			}
		})
		t.Run(side+"/half-close of the peer", func(t *testing.T) {
			near, peer := pair(t)
			fmt.Fprint(peer, "question")
			peer.CloseWrite()
			if got, err := io.ReadAll(near); err != nil || string(got) != "question" {
				t.Fatalf("the near end read %q, %v, want question", got, err)
			}
			fmt.Fprint(near, "answer")
			near.Close()
			if got, err := io.ReadAll(peer); err != nil || string(got) != "answer" {
				t.Errorf("the peer read %q, %v, want answer", got, err)
			}
		})
		t.Run(side+"/reset by the peer", func(t *testing.T) {
			near, peer := pair(t)
			peer.SetLinger(0)
			peer.Close()
			if _, err := io.ReadAll(near); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after the peer's reset the near end reads %v, want %v", err, syscall.ECONNRESET)
			}
		})
		t.Run(side+"/reset", func(t *testing.T) {
			near, peer := pair(t)
			if err := near.(interface{ SetLinger(int) error }).SetLinger(0); err != nil {
				t.Fatal(err)
			}
			near.Close()
			if _, err := io.ReadAll(peer); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after the near end's reset the peer reads %v, want %v", err, syscall.ECONNRESET)
			}
		})
		t.Run(side+"/writing to a peer that has gone", func(t *testing.T) {
			near, peer := pair(t)
			fmt.Fprint(peer, "farewell")
			peer.Close()
			eventually(t, "writing fails", func() bool {
				_, err := near.Write([]byte("x"))
				return err != nil
			})
			if _, err := near.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("a write to the closed peer fails with %v, want %v or %v", err, syscall.EPIPE, syscall.ECONNRESET)
			}
			if got, _ := io.ReadAll(near); string(got) != "farewell" {
				t.Errorf("the near end read %q, want farewell, which the peer sent before it closed", got)
			}
		})
		t.Run(side+"/close with a peer that never ends", func(t *testing.T) {
			near, peer := pair(t)
			want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
			go func() {
				near.Write(want)
				near.Close()
			}()
			if got, err := io.ReadAll(peer); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("the peer read %d bytes, error %v, want %d", len(got), err, len(want))
			}
			// The near end is closed: the host refuses the peer's bytes, as for any closed
			// socket.
			eventually(t, "the peer's writes fail", func() bool {
				_, err := peer.Write([]byte("x"))
				return err != nil
			})
		})
	}
}

func TestALostContextResetsItsConnections(t *testing.T) {
	noLeaks(t)
	self := start(t, nil)
	a := child(t, self)
	near, peer := dialPair(t, child(t, a), "tcp")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(near); !errors.Is(err, contexts.ErrClosed) {
		t.Errorf("after the end of the context the near end reads %v, want %v", err, contexts.ErrClosed)
	}
	if _, err := io.ReadAll(peer); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after the end of the context the peer reads %v, want %v", err, syscall.ECONNRESET)
	}
}

func TestHTTPBothWays(t *testing.T) {
	b := grandchild(t)
	sameFiles(t, b)
	body := bytes.Repeat([]byte("mitosis "), 1<<18)
	ln, err := b.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(got, body) {
			http.Error(w, "not what was sent", http.StatusBadRequest)
			return
		}
		w.Write(got)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	client := &http.Client{Transport: &http.Transport{DialContext: b.DialContext}}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			r, err := client.Post("http://"+ln.Addr().String(), "text/plain", bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			if got, err := io.ReadAll(r.Body); err != nil || r.StatusCode != 200 || !bytes.Equal(got, body) {
				t.Errorf("the answer is %s with %d bytes, error %v, want 200 with the %d that were sent", r.Status, len(got), err, len(body))
			}
		})
	}
	wg.Wait()
	client.CloseIdleConnections()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		c.Close()
		t.Error("after the server's end the port is open, want it closed")
	}
}

// dialUp makes a child dial through another context, which only ancestors of that one may.
var dialUp = contexts.NewFunc("test.dialup", func(ctx context.Context, to *contexts.Node) (bool, error) {
	_, err := to.DialContext(ctx, "tcp", "127.0.0.1:1")
	if !errors.Is(err, contexts.ErrRefused) {
		return false, err
	}
	if _, err = to.Listen(ctx, "tcp", "127.0.0.1:0"); !errors.Is(err, contexts.ErrRefused) {
		return false, err
	}
	return true, nil
})

func TestForwardingIsForAncestors(t *testing.T) {
	noLeaks(t)
	self := start(t, nil)
	a := child(t, self)
	for _, from := range []*contexts.Node{a, child(t, a)} {
		if refused, err := dialUp.Call(t.Context(), from, self); !refused {
			t.Errorf("%v was not refused the master's network (%v), want a refusal", from, err)
		}
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	b := grandchild(t)
	sameFiles(t, b)
	ln := serving(t, func(c net.Conn) {
		defer c.Close()
		io.Copy(c, c)
	})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			c, err := b.DialContext(t.Context(), "tcp", ln.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			want := make([]byte, 1+i*4096)
			random := rand.NewChaCha8([32]byte{byte(i)})
			random.Read(want)
			go func() {
				c.Write(want)
				c.(interface{ CloseWrite() error }).CloseWrite()
			}()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes came back, error %v, want %d", len(got), err, len(want))
			}
		})
	}
	wg.Wait()
}
