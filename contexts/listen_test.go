package contexts_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

func TestListenerEnds(t *testing.T) {
	noLeaks(t)
	self := start(t, nil)
	a := child(t, self)
	b := child(t, a)
	accept := func(ln net.Listener) chan error {
		errs := make(chan error, 1)
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					errs <- err
					return
				}
				defer c.Close()
			}
		}()
		return errs
	}
	path := filepath.Join(t.TempDir(), "socket")
	closed := must(b.Listen(t.Context(), "unix", path))
	if closed.Addr().String() != path {
		t.Errorf("the address is %v, want %s", closed.Addr(), path)
	}
	errs := accept(closed)
	waiting := must(net.Dial("unix", path))
	defer waiting.Close()
	if err := closed.Close(); err != nil {
		t.Error(err)
	}
	if err := <-errs; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a closed listener returned %v, want %v", err, net.ErrClosed)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket after Close: %v, want no such file", err)
	}
	if err := closed.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second Close returned %v, want %v", err, net.ErrClosed)
	}

	lost := must(b.Listen(t.Context(), "unix", path))
	errs = accept(lost)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a lost listener returned %v, want an error that is not %v", err, net.ErrClosed)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket after the end of its context: %v, want no such file", err)
	}
	lost.Close()
	if _, err := b.Listen(t.Context(), "tcp", "127.0.0.1:0"); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("listening at a lost context: error %v, want %v", err, contexts.ErrGone)
	}
}

// If the context in the middle is killed, the context that listens ends as well.
func TestAKilledHopLeavesNoListener(t *testing.T) {
	noLeaks(t)
	a := child(t, start(t, nil))
	b := child(t, a)
	port := must(b.Listen(t.Context(), "tcp", "127.0.0.1:0"))
	near, peer := dialPair(t, b, "tcp")
	kill(t, a)
	if _, err := port.Accept(); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("Accept of a listener at a lost context returned %v, want %v", err, contexts.ErrGone)
	}
	port.Close()
	if _, err := io.ReadAll(near); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("a read from a lost connection returned %v, want %v", err, contexts.ErrGone)
	}
	if _, err := near.Write([]byte("x")); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("a write to a lost connection returned %v, want %v", err, contexts.ErrGone)
	}
	_, _ = io.ReadAll(peer) // the system ends the connections of a dead process in some way
	eventually(t, "the port is closed", func() bool {
		c, err := net.Dial("tcp", port.Addr().String())
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

func TestListenErrors(t *testing.T) {
	b := grandchild(t)
	busy := must(net.Listen("tcp", "127.0.0.1:0"))
	defer busy.Close()
	if _, err := b.Listen(t.Context(), "tcp", busy.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening on a port in use: error %v, want %v", err, syscall.EADDRINUSE)
	}
	if _, err := b.Listen(t.Context(), "udp", "127.0.0.1:0"); !errors.As(err, new(net.UnknownNetworkError)) {
		t.Errorf("a listener on udp: error %v, want a net.UnknownNetworkError", err)
	}
}

func TestBacklogIsBounded(t *testing.T) {
	b := grandchild(t)
	sameFiles(t, b)
	ln := must(b.Listen(t.Context(), "tcp", "127.0.0.1:0"))
	before := must(openFiles.Call(t.Context(), b, struct{}{}))
	const many = 300
	var conns []net.Conn
	for i := range many {
		c, err := net.DialTimeout("tcp", ln.Addr().String(), 10*time.Second)
		if err != nil {
			t.Fatal(i, err)
		}
		defer c.Close()
		conns = append(conns, c)
		fmt.Fprintf(c, "%d\n", i)
		c.(*net.TCPConn).CloseWrite()
	}
	eventually(t, "the backlog is full", func() bool {
		return must(openFiles.Call(t.Context(), b, struct{}{})) >= before+128
	})
	if n := must(openFiles.Call(t.Context(), b, struct{}{})); n > before+128+8 {
		t.Errorf("the context has %d more descriptors while nobody accepts, want at most 136", n-before)
	}
	seen := map[string]bool{}
	for range many {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		line, err := io.ReadAll(c)
		if err != nil || seen[string(line)] || !strings.HasSuffix(string(line), "\n") {
			t.Fatalf("a connection has %q, %v, want a line that no other has", line, err)
		}
		seen[string(line)] = true
		c.Close()
	}
	ln.Close()
	for _, c := range conns {
		if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
			t.Fatalf("the peer of a connection read %q, %v, want only the end", got, err)
		}
	}
}
