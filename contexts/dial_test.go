package contexts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

func TestDialErrorsKeepTheirMeaning(t *testing.T) {
	b := grandchild(t)
	sameFiles(t, b)
	dial := func(timeout time.Duration, network, addr string) (net.Error, error) {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		c, err := b.DialContext(ctx, network, addr)
		if err == nil {
			c.Close()
			t.Fatalf("%s was reached", addr)
		}
		var e *contexts.Error
		if !errors.As(err, &e) || e.Path != b.String() {
			t.Errorf("no path in %#v", err)
		}
		var op *net.OpError
		if !errors.As(err, &op) || op.Net != network || op.Op != "dial" {
			t.Errorf("%v is no *net.OpError of the dial", err)
		}
		return op, err
	}
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	ln.Close()
	op, err := dial(time.Minute, "tcp", ln.Addr().String())
	if !errors.Is(err, syscall.ECONNREFUSED) || op.Timeout() {
		t.Errorf("a closed port: %v", err)
	}
	if want := b.String() + ": dial tcp " + ln.Addr().String() + ": connect: connection refused"; err.Error() != want {
		t.Errorf("it reads %q", err)
	}
	if _, err = dial(time.Minute, "unix", "/no/such/socket"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing socket: %v", err)
	}
	_, err = dial(time.Minute, "tcp", "no.such.host.invalid:1")
	var dns *net.DNSError
	if !errors.As(err, &dns) || !(dns.IsNotFound || dns.IsTemporary) || dns.Name != "no.such.host.invalid" {
		t.Errorf("a host without a name: %v", err)
	}
	if _, err = dial(time.Minute, "ip4:icmp", "127.0.0.1"); !errors.As(err, new(net.UnknownNetworkError)) {
		t.Errorf("a raw socket: %v", err)
	}
	// A listener whose backlog is full answers nobody.
	full := fullBacklog(t)
	op, err = dial(200*time.Millisecond, "tcp", full)
	if outer, ok := err.(net.Error); !op.Timeout() || !ok || !outer.Timeout() {
		t.Errorf("a dial that takes too long: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := b.DialContext(ctx, "tcp", full); !errors.Is(err, context.Canceled) {
		t.Errorf("a dial that was given up: %v", err)
	}
}

func TestDatagramsKeepTheirBoundaries(t *testing.T) {
	b := grandchild(t)
	sameFiles(t, b)
	peer := must(net.ListenPacket("udp", "127.0.0.1:0"))
	defer peer.Close()
	near, err := b.DialContext(t.Context(), "udp", peer.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	buf := make([]byte, 1<<17)
	for _, size := range []int{0, 1, 1400, 65507} {
		want := bytes.Repeat([]byte{byte(size)}, size)
		if n, err := near.Write(want); n != size || err != nil {
			t.Fatal(n, err)
		}
		n, from, err := peer.ReadFrom(buf)
		if err != nil || !bytes.Equal(buf[:n], want) || from.String() != near.LocalAddr().String() {
			t.Fatalf("%d bytes of %d came, %v", n, size, err)
		}
		must(peer.WriteTo(buf[:n], from))
		if n, err := near.Read(buf); err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("%d bytes of %d came back, %v", n, size, err)
		}
	}
	if _, err := near.Write(make([]byte, 65508)); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("a datagram that is too large: %v", err)
	}
	// A deadline that comes in between loses nothing.
	near.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := near.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline that has passed: %v", err)
	}
	near.SetReadDeadline(time.Time{})
	peer.Close()
	eventually(t, "it is told that nobody listens", func() bool {
		near.Write([]byte("x"))
		near.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := near.Read(buf)
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

// Giving up may hit any phase: before the request is out, while it dials, when
// the answer is on its way.
func TestGivingUpAtAnyPhaseLeavesNothing(t *testing.T) {
	b := grandchild(t)
	sameFiles(t, b)
	ln := serving(t, func(c net.Conn) { c.Close() })
	outcomes := map[bool]int{}
	try := func(after time.Duration, do func(ctx context.Context) (io.Closer, error)) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		defer time.AfterFunc(after, cancel).Stop()
		c, err := do(ctx)
		if outcomes[err == nil]++; err == nil {
			c.Close()
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("given up after %v: %v", after, err)
		}
	}
	begin := time.Now()
	for range 5 {
		must(b.DialContext(t.Context(), "tcp", ln.Addr().String())).Close()
	}
	usual := time.Since(begin) / 5
	for i := range 200 {
		after := usual * time.Duration(i%100) / 20
		try(after, func(ctx context.Context) (io.Closer, error) {
			return b.DialContext(ctx, "tcp", ln.Addr().String())
		})
		try(after, func(ctx context.Context) (io.Closer, error) {
			return b.Listen(ctx, "tcp", "127.0.0.1:0")
		})
	}
	if outcomes[true] == 0 || outcomes[false] == 0 {
		t.Errorf("they were given up always or never: %v", outcomes)
	}
}

func TestDialThroughAContext(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %d", len(b))
	}()
	c, err := a.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "12345")
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "got 5" {
		t.Errorf("%q, %v", got, err)
	}
	ln.Close()
	if _, err := a.DialContext(t.Context(), "tcp", ln.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a closed port: %v", err)
	}
}
