//go:build unix

package contexts_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
)

// listenPlaces returns the two ways to listen: in this process, and at a context.
func listenPlaces(t *testing.T) map[string]func(contexts.ListenConfig, context.Context, string, string) (net.Listener, error) {
	far := child(t, start(t, nil))
	return map[string]func(contexts.ListenConfig, context.Context, string, string) (net.Listener, error){
		"here": func(c contexts.ListenConfig, ctx context.Context, network, addr string) (net.Listener, error) {
			return c.Listen(ctx, network, addr)
		},
		"there": func(c contexts.ListenConfig, ctx context.Context, network, addr string) (net.Listener, error) {
			return c.ListenAt(ctx, far, network, addr)
		},
	}
}

// The mode of a socket decides which users may connect. The umask must not widen or narrow it.
func TestModeOfSockets(t *testing.T) {
	dir := t.TempDir()
	for _, umask := range []int{0, 0o22, 0o277} {
		before := syscall.Umask(umask)
		defer syscall.Umask(before)
		for place, listen := range listenPlaces(t) {
			for mode, want := range map[fs.FileMode]fs.FileMode{0: 0o600, 0o660: 0o660, 0o777: 0o777, fs.ModeSocket: 0} {
				path := filepath.Join(dir, "s")
				ln := must(listen(contexts.ListenConfig{SocketMode: mode}, t.Context(), "unix", path))
				if got := must(os.Lstat(path)).Mode(); got != fs.ModeSocket|want {
					t.Errorf("%s, umask %o, mode %v: the socket has the mode %v, want %v", place, umask, mode, got, want)
				}
				if err := ln.Close(); err != nil {
					t.Error(err)
				}
				if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: the socket after Close: %v, want no such file", place, err)
				}
			}
		}
		syscall.Umask(before)
	}
}

func TestModeOfDatagramSockets(t *testing.T) {
	before := syscall.Umask(0)
	defer syscall.Umask(before)
	far := child(t, start(t, nil))
	path := filepath.Join(t.TempDir(), "s")
	c := must(far.ListenPacket(t.Context(), "unixgram", path))
	defer c.Close()
	if got := must(os.Lstat(path)).Mode(); got != fs.ModeSocket|0o600 {
		t.Errorf("the socket has the mode %v, want %v", got, fs.ModeSocket|0o600)
	}
}

func TestUnlinkOfSockets(t *testing.T) {
	for place, listen := range listenPlaces(t) {
		t.Run(place, func(t *testing.T) {
			var plain contexts.ListenConfig
			unlink := contexts.ListenConfig{Unlink: true}
			path := filepath.Join(t.TempDir(), "s")
			first := must(listen(unlink, t.Context(), "unix", path))
			if _, err := listen(plain, t.Context(), "unix", path); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("a second listener without Unlink: error %v, want %v", err, syscall.EADDRINUSE)
			}
			second := must(listen(unlink, t.Context(), "unix", path))
			if err := first.Close(); err != nil {
				t.Error(err)
			}
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Fatalf("dialling the second listener after the end of the first: %v, want its socket still there", err)
			}
			defer conn.Close()
			if err := second.Close(); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := listen(unlink, t.Context(), "unix", path); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("a listener with Unlink in the place of a file: error %v, want %v", err, syscall.EADDRINUSE)
			}
			if b, err := os.ReadFile(path); string(b) != "precious" {
				t.Errorf("the file has %q, %v, want it unchanged: precious", b, err)
			}
		})
	}
}

// accepts reports whether a connection to an address is accepted by a listener.
func accepts(t *testing.T, ln net.Listener, addr string) bool {
	t.Helper()
	near, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer near.Close()
	far, err := ln.Accept()
	if err != nil {
		t.Error(err)
		return false
	}
	defer far.Close()
	return far.RemoteAddr().String() == near.LocalAddr().String()
}

func TestLocalhostIsBothFamilies(t *testing.T) {
	for place, listen := range listenPlaces(t) {
		t.Run(place, func(t *testing.T) {
			var skipped []string
			cfg := contexts.ListenConfig{Skipped: func(addr string, err error) {
				skipped = append(skipped, addr)
				if !strings.Contains(err.Error(), "address already in use") {
					t.Errorf("%s is skipped for %v, want only addresses in use skipped", addr, err)
				}
			}}
			ln := must(listen(cfg, t.Context(), "tcp", "Localhost:0"))
			_, port, _ := net.SplitHostPort(ln.Addr().String())
			four, six := "127.0.0.1:"+port, "[::1]:"+port
			if ln.Addr().String() != four {
				t.Errorf("the address is %v, want %v", ln.Addr(), four)
			}
			for range 3 {
				for _, addr := range []string{four, six} {
					if !accepts(t, ln, addr) {
						t.Errorf("a connection to %s did not reach the listener, want it accepted", addr)
					}
				}
			}
			if _, err := listen(cfg, t.Context(), "tcp", "localhost:"+port); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("a second listener on the port: error %v, want %v", err, syscall.EADDRINUSE)
			}
			if len(skipped) > 0 {
				t.Errorf("the addresses %q were skipped, want none", skipped)
			}
			if err := ln.Close(); err != nil {
				t.Error(err)
			}
			if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept after Close returned %v, want %v", err, net.ErrClosed)
			}
			if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a second Close returned %v, want %v", err, net.ErrClosed)
			}
			for _, addr := range []string{four, six} {
				taken := must(net.Listen("tcp", addr))
				skipped = nil
				ln := must(listen(cfg, t.Context(), "tcp", "localhost:"+port))
				free := four
				if addr == four {
					free = six
				}
				if !accepts(t, ln, free) || len(skipped) != 1 || skipped[0] != addr {
					t.Errorf("with %s in use, %q were skipped, want only that, and a listener on %s", addr, skipped, free)
				}
				ln.Close()
				taken.Close()
			}
			for network, want := range map[string]string{"tcp4": "127.0.0.1:", "tcp6": "[::1]:"} {
				ln := must(listen(cfg, t.Context(), network, "localhost:0"))
				if !strings.HasPrefix(ln.Addr().String(), want) {
					t.Errorf("the address of a listener for %s is %v, want one on %s", network, ln.Addr(), want)
				}
				ln.Close()
			}
		})
	}
}

// Connections that nobody has accepted are reset when the listener is closed. Nothing of the
// listener is left.
func TestCloseOfBothFamilies(t *testing.T) {
	noLeaks(t)
	ln := must(new(contexts.ListenConfig).Listen(t.Context(), "tcp", "localhost:0"))
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	var conns []net.Conn
	for _, host := range []string{"127.0.0.1", "::1"} {
		conns = append(conns, must(net.Dial("tcp", net.JoinHostPort(host, port))))
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range conns {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("reading from a connection that nobody accepted returned a byte, want an error")
		}
		c.Close()
	}
}
