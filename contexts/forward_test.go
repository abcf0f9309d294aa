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

// grandchild starts a tree of three.
func grandchild(t *testing.T) *contexts.Node {
	t.Helper()
	noLeaks(t)
	return child(t, child(t, start(t, nil)))
}

// dialPair returns a connection that a context made and its other end.
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

// listenPair returns a connection that came in at a context and its other end.
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
			t.Errorf("%s: %v to %v here, %v to %v there", kind, near.LocalAddr(), near.RemoteAddr(), peer.RemoteAddr(), peer.LocalAddr())
		}
		if _, ok := near.RemoteAddr().(*net.TCPAddr); !ok {
			t.Errorf("%s: the address is a %T", kind, near.RemoteAddr())
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
				t.Fatalf("%q, %v", got, err)
			}
			fmt.Fprint(peer, "answer")
			peer.Close()
			if got, err := io.ReadAll(near); err != nil || string(got) != "answer" {
				t.Errorf("%q, %v", got, err)
			}
		})
		t.Run(side+"/half-close of the peer", func(t *testing.T) {
			near, peer := pair(t)
			fmt.Fprint(peer, "question")
			peer.CloseWrite()
			if got, err := io.ReadAll(near); err != nil || string(got) != "question" {
				t.Fatalf("%q, %v", got, err)
			}
			fmt.Fprint(near, "answer")
			near.Close()
			if got, err := io.ReadAll(peer); err != nil || string(got) != "answer" {
				t.Errorf("%q, %v", got, err)
			}
		})
		t.Run(side+"/reset by the peer", func(t *testing.T) {
			near, peer := pair(t)
			peer.SetLinger(0)
			peer.Close()
			if _, err := io.ReadAll(near); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the peer's reset is read as %v", err)
			}
		})
		t.Run(side+"/reset", func(t *testing.T) {
			near, peer := pair(t)
			if err := near.(interface{ SetLinger(int) error }).SetLinger(0); err != nil {
				t.Fatal(err)
			}
			near.Close()
			if _, err := io.ReadAll(peer); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the peer reads %v where it was reset", err)
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
				t.Errorf("writing fails with %v", err)
			}
			if got, _ := io.ReadAll(near); string(got) != "farewell" {
				t.Errorf("%q was said before", got)
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
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			// Nobody listens any more: the host says so, as for a closed socket.
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
		t.Errorf("the end of the context reads like %v", err)
	}
	if _, err := io.ReadAll(peer); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer reads %v", err)
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
				t.Errorf("%s, %d bytes, %v", r.Status, len(got), err)
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
		t.Error("the port is open after Close")
	}
}

// dialUp makes a child try what only an ancestor may.
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
			t.Errorf("a descendant used the master's network: %v", err)
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
				t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
			}
		})
	}
	wg.Wait()
}
