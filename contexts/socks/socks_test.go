package socks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"golang.org/x/net/proxy"

	"github.com/things-go/go-socks5/statute"
)

// newClient returns a connection to a server that dials by dial, and what serve
// returns.
func newClient(t *testing.T, dial DialFunc) (*net.TCPConn, <-chan error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- Serve(t.Context(), near, dial) }()
	return client.(*net.TCPConn), served
}

// fixedConn is a proxy.Dialer that has connected already.
type fixedConn struct{ net.Conn }

func (f fixedConn) Dial(string, string) (net.Conn, error) { return f.Conn, nil }

// A name goes to the host that dials as it is, and what the client sends, a
// half-close included, to the target and back.
func TestConnect(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	go func() {
		c, err := target.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b, err := io.ReadAll(c) // to the half-close
		fmt.Fprintf(c, "%s, %v", b, err)
	}()
	asked := make(chan string, 1)
	client, served := newClient(t, func(ctx context.Context, network, addr string) (net.Conn, error) {
		asked <- network + " " + addr
		return new(net.Dialer).DialContext(ctx, "tcp", target.Addr().String())
	})
	d, err := proxy.SOCKS5("tcp", "any", nil, fixedConn{client})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Dial("tcp", "only-known-there.invalid:80"); err != nil {
		t.Fatal(err)
	}
	if got := <-asked; got != "tcp only-known-there.invalid:80" {
		t.Errorf("dialled %s, want the name as it is", got)
	}
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || string(got) != "hello, <nil>" {
		t.Errorf("got %q, %v; want what the client sent, and the half-close", got, err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// Why there is no connection the client is told in the numbers of RFC 1928.
func TestRefusals(t *testing.T) {
	errOther := errors.New("other")
	for _, c := range []struct {
		request string // behind the version
		dial    error
		reply   byte
	}{
		{"\x01\x00\x01\x7f\x00\x00\x01\x00\x50", syscall.ECONNREFUSED, statute.RepConnectionRefused},
		{"\x01\x00\x03\x01x\x00\x50", &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}, statute.RepHostUnreachable},
		{"\x01\x00\x01\x7f\x00\x00\x01\x00\x50", syscall.ENETUNREACH, statute.RepNetworkUnreachable},
		{"\x01\x00\x01\x7f\x00\x00\x01\x00\x50", syscall.ETIMEDOUT, statute.RepHostUnreachable},
		{"\x01\x00\x01\x7f\x00\x00\x01\x00\x50", errOther, statute.RepServerFailure},
		{"\x02\x00\x01\x7f\x00\x00\x01\x00\x50", nil, statute.RepCommandNotSupported}, // BIND
		{"\x03\x00\x01\x7f\x00\x00\x01\x00\x50", nil, statute.RepCommandNotSupported}, // UDP ASSOCIATE
		{"\x09\x00\x01\x7f\x00\x00\x01\x00\x50", nil, statute.RepCommandNotSupported},
		{"\x01\x00\x09\x7f\x00\x00\x01\x00\x50", nil, statute.RepAddrTypeNotSupported},
	} {
		client, served := newClient(t, func(context.Context, string, string) (net.Conn, error) {
			if c.dial == nil {
				t.Errorf("%q: it was dialled, want a refusal before", c.request)
			}
			return nil, c.dial
		})
		if _, err := client.Write([]byte("\x05\x01\x00\x05" + c.request)); err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(client)
		if len(got) != 12 || got[0] != 5 || got[1] != 0 || got[2] != 5 || got[3] != c.reply {
			t.Errorf("%q: got reply % x, want code %d", c.request, got, c.reply)
		}
		if err := <-served; c.dial != nil && !errors.Is(err, c.dial) {
			t.Errorf("%q: Serve returns %v, want %v", c.request, err, c.dial)
		}
	}
	for _, hello := range []string{"\x03\x01\x00\x50\x7f\x00\x00\x01\x00", "\x05\x01\x02", "GET / HTTP/1.0\r\n\r\n"} {
		client, served := newClient(t, nil)
		if _, err := client.Write([]byte(hello)); err != nil {
			t.Fatal(err)
		}
		_ = client.CloseWrite()
		if err := <-served; err == nil {
			t.Errorf("%q: Serve returns nil, want an error", hello)
		}
	}
}
