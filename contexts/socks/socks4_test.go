package socks

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
)

// What follows the request belongs to the target, which is told by address or, in 4a,
// by name; the user means nothing.
func TestConnectBySOCKS4(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	go func() {
		for {
			c, err := target.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	for request, want := range map[string]string{
		"\x04\x01\x00\x50\x7f\x00\x00\x01me\x00":                             "127.0.0.1:80",
		"\x04\x01\x1f\x90\x0a\x01\x02\x03\x00":                               "10.1.2.3:8080",
		"\x04\x01\x00\x50\x00\x00\x00\x01me\x00only-known-there.invalid\x00": "only-known-there.invalid:80",
		"\x04\x01\x00\x50\x00\x00\x00\xff\x00::1\x00":                        "[::1]:80",
		"\x04\x01\x00\x50\x00\x00\x00\x00\x00":                               "0.0.0.0:80",
	} {
		asked := make(chan string, 1)
		client, served := newClient(t, func(ctx context.Context, network, addr string) (net.Conn, error) {
			asked <- network + " " + addr
			return new(net.Dialer).DialContext(ctx, "tcp", target.Addr().String())
		})
		if _, err := client.Write([]byte(request + "hello")); err != nil {
			t.Fatal(err)
		}
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(client); err != nil || string(got) != "\x00\x5a\x00\x00\x00\x00\x00\x00hello" {
			t.Errorf("%q: got %q, %v; want that it is granted, and the echo", request, got, err)
		}
		if err := <-served; err != nil {
			t.Errorf("%q: Serve returns %v, want nil", request, err)
		}
		if got := <-asked; got != "tcp "+want {
			t.Errorf("%q: asked for %s, not %s", request, got, want)
		}
	}
}

func TestRefusalsBySOCKS4(t *testing.T) {
	const rejected = "\x00\x5b\x00\x00\x00\x00\x00\x00"
	for request, dial := range map[string]error{
		"\x04\x01\x00\x50\x7f\x00\x00\x01\x00":                                     syscall.ECONNREFUSED,
		"\x04\x02\x00\x50\x7f\x00\x00\x01\x00":                                     nil, // BIND
		"\x04\x01\x00\x50\x00\x00\x00\x01\x00\x00":                                 nil, // no name
		"\x04\x01\x00\x50\x7f\x00\x00\x01" + strings.Repeat("u", 256):              nil,
		"\x04\x01\x00\x50\x00\x00\x00\x01\x00" + strings.Repeat("n", 300) + "\x00": nil,
		"\x04\x01\x00\x50\x7f\x00":                                                 nil, // and no more
		"\x04\x01\x00\x50\x7f\x00\x00\x01me":                                       nil,
	} {
		client, served := newClient(t, func(context.Context, string, string) (net.Conn, error) {
			if dial == nil {
				t.Errorf("%q: it was dialled, want a refusal before", request)
			}
			return nil, dial
		})
		if _, err := client.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		_ = client.CloseWrite()
		// What was not read makes a reset of the end.
		if got, err := io.ReadAll(client); string(got) != rejected && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%q: got %q, %v; want a refusal", request, got, err)
		}
		if err := <-served; err == nil || dial != nil && !errors.Is(err, dial) {
			t.Errorf("%q: Serve returns %v, want an error (%v)", request, err, dial)
		}
	}
}
