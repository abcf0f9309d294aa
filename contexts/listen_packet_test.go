package contexts_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// A datagram socket at another host works like one here: it has many peers, and each datagram stays
// whole.
func TestListenPacket(t *testing.T) {
	noLeaks(t)
	b := child(t, child(t, start(t, nil)))
	sockets := t.TempDir()
	for network, addr := range map[string]string{
		"udp": "127.0.0.1:0", "udp6": "[::1]:0", "unixgram": filepath.Join(sockets, "ours"),
	} {
		t.Run(network, func(t *testing.T) {
			sameFiles(t, b)
			ln, err := b.ListenPacket(t.Context(), network, addr)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			if got := ln.LocalAddr(); got.Network() != network && got.Network() != "udp" {
				t.Errorf("the address is %v of the network %s, want one of %s", got, got.Network(), network)
			}
			buf := make([]byte, 1<<17)
			for i, own := range []string{"theirs", "other"} {
				if network != "unixgram" {
					own = addr
				} else {
					own = filepath.Join(sockets, own)
				}
				peer := must(net.ListenPacket(network, own))
				defer peer.Close()
				for _, size := range []int{0, 1, 1400, 65507} {
					want := bytes.Repeat([]byte{byte(size + i)}, size)
					must(peer.WriteTo(want, ln.LocalAddr()))
					n, from, err := ln.ReadFrom(buf)
					if err != nil || !bytes.Equal(buf[:n], want) || from.String() != peer.LocalAddr().String() {
						t.Fatalf("%d bytes arrived from %v, error %v, want %d from %v", n, from, err, size, peer.LocalAddr())
					}
					if n, err := ln.WriteTo(want, from); n != size || err != nil {
						t.Fatal(n, err)
					}
					n, from, err = peer.ReadFrom(buf)
					if err != nil || !bytes.Equal(buf[:n], want) || from.String() != ln.LocalAddr().String() {
						t.Fatalf("%d bytes came back from %v, error %v, want %d from %v", n, from, err, size, ln.LocalAddr())
					}
				}
			}
			// A failure of one datagram does not end the socket.
			own := addr
			if network == "unixgram" {
				own = filepath.Join(sockets, "gone")
			}
			gone := must(net.ListenPacket(network, own))
			nobody := gone.LocalAddr()
			gone.Close()
			for range 3 {
				if _, err := ln.WriteTo([]byte("x"), nobody); err != nil {
					t.Error(err)
				}
			}
			if _, err := ln.WriteTo(make([]byte, 65508), nobody); !errors.Is(err, syscall.EMSGSIZE) {
				t.Errorf("a datagram that is too large: error %v, want %v", err, syscall.EMSGSIZE)
			}
			foreign := net.Addr(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
			if network != "unixgram" {
				foreign = &net.UnixAddr{Net: "unixgram", Name: "x"}
			}
			for _, to := range []net.Addr{
				nil, (*net.UDPAddr)(nil), (*net.UnixAddr)(nil), &net.TCPAddr{}, foreign,
				&net.UDPAddr{IP: net.IP{1, 2, 3}, Port: 1}, &net.UnixAddr{Name: strings.Repeat("x", 1<<16)},
			} {
				if _, err := ln.WriteTo([]byte("x"), to); err == nil {
					t.Errorf("a datagram was sent to %T %.10v, want an error: it is no address for this socket", to, to)
				}
			}
			if own, ok := ln.LocalAddr().(*net.UDPAddr); ok {
				must(ln.WriteTo([]byte("to itself"), &net.UDPAddr{Port: own.Port}))
				if n, _, err := ln.ReadFrom(buf); string(buf[:n]) != "to itself" {
					t.Errorf("the socket read %q, %v, want its own datagram", buf[:n], err)
				}
			}
			_ = ln.SetReadDeadline(time.Now().Add(-time.Second))
			if _, _, err := ln.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a read after its deadline returned %v, want %v", err, os.ErrDeadlineExceeded)
			}
			_ = ln.SetReadDeadline(time.Time{})
			last := must(net.Dial(network, ln.LocalAddr().String()))
			defer last.Close()
			must(last.Write([]byte("still here")))
			if n, _, err := ln.ReadFrom(buf); string(buf[:n]) != "still here" {
				t.Errorf("after the failures the socket read %q, %v, want still here", buf[:n], err)
			}
			if err := ln.Close(); err != nil {
				t.Error(err)
			}
			if _, _, err := ln.ReadFrom(buf); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a read from a closed socket returned %v, want %v", err, net.ErrClosed)
			}
			eventually(t, "the address is free", func() bool {
				again, err := net.ListenPacket(network, ln.LocalAddr().String())
				if err == nil {
					again.Close()
				}
				return err == nil
			})
		})
	}
}

func TestListenPacketErrors(t *testing.T) {
	a := child(t, start(t, nil))
	b := child(t, a)
	busy := must(net.ListenPacket("udp", "127.0.0.1:0"))
	defer busy.Close()
	if _, err := b.ListenPacket(t.Context(), "udp", busy.LocalAddr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening on a port in use: error %v, want %v", err, syscall.EADDRINUSE)
	}
	if _, err := b.ListenPacket(t.Context(), "tcp", "127.0.0.1:0"); !errors.As(err, new(net.UnknownNetworkError)) {
		t.Errorf("listening for datagrams on tcp: error %v, want a net.UnknownNetworkError", err)
	}
	lost := must(b.ListenPacket(t.Context(), "unixgram", filepath.Join(t.TempDir(), "socket")))
	kill(t, a)
	if _, _, err := lost.ReadFrom(make([]byte, 1)); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("a read from the socket of a lost context returned %v, want %v", err, contexts.ErrGone)
	}
}
