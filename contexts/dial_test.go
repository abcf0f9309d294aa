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
			t.Fatalf("the dial of %s succeeded, want an error", addr)
		}
		var e *contexts.Error
		if !errors.As(err, &e) || e.Path != b.String() {
			t.Errorf("the error is %#v, want a *contexts.Error with the path %v", err, b)
		}
		var op *net.OpError
		if !errors.As(err, &op) || op.Net != network || op.Op != "dial" {
			t.Errorf("the error is %v, want a *net.OpError of the dial", err)
		}
		return op, err
	}
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	ln.Close()
	op, err := dial(time.Minute, "tcp", ln.Addr().String())
	if !errors.Is(err, syscall.ECONNREFUSED) || op.Timeout() {
		t.Errorf("the dial of a closed port ended with %v, want %v and no timeout", err, syscall.ECONNREFUSED)
	}
	if want := b.String() + ": dial tcp " + ln.Addr().String() + ": connect: connection refused"; err.Error() != want {
		t.Errorf("the error is %q, want %q", err, want)
	}
	if _, err = dial(time.Minute, "unix", "/no/such/socket"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dial of a missing socket ended with %v, want %v", err, os.ErrNotExist)
	}
	_, err = dial(time.Minute, "tcp", "no.such.host.invalid:1")
	var dns *net.DNSError
	if !errors.As(err, &dns) || !(dns.IsNotFound || dns.IsTemporary) || dns.Name != "no.such.host.invalid" {
		t.Errorf("the dial of an unknown name ended with %v, want a *net.DNSError with the name", err)
	}
	if _, err = dial(time.Minute, "ip4:icmp", "127.0.0.1"); !errors.As(err, new(net.UnknownNetworkError)) {
		t.Errorf("the dial of a raw socket ended with %v, want a net.UnknownNetworkError", err)
	}
	// A listener whose backlog is full leaves connections unanswered.
	full := fullBacklog(t)
	op, err = dial(200*time.Millisecond, "tcp", full)
	if outer, ok := err.(net.Error); !op.Timeout() || !ok || !outer.Timeout() {
		t.Errorf("a dial that takes too long ended with %v, want a timeout", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := b.DialContext(ctx, "tcp", full); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled dial ended with %v, want %v", err, context.Canceled)
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
			t.Fatalf("a datagram arrived with %d bytes, error %v, want %d from %v", n, err, size, near.LocalAddr())
		}
		must(peer.WriteTo(buf[:n], from))
		if n, err := near.Read(buf); err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("a datagram came back with %d bytes, error %v, want %d", n, err, size)
		}
	}
	if _, err := near.Write(make([]byte, 65508)); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("a datagram that is too large was written with %v, want %v", err, syscall.EMSGSIZE)
	}
	// A deadline that passes in between loses no datagram.
	near.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := near.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read after its deadline ended with %v, want %v", err, os.ErrDeadlineExceeded)
	}
	near.SetReadDeadline(time.Time{})
	peer.Close()
	eventually(t, "the connection reports that nobody listens", func() bool {
		near.Write([]byte("x"))
		near.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := near.Read(buf)
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

// A dial may be given up in any phase: before the request is sent, during the dial, and when the
// answer is on its way.
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
			t.Errorf("a dial that was given up after %v ended with %v, want %v", after, err, context.Canceled)
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
		t.Errorf("the outcomes (by success) are %v, want some dials that succeed and some that don't", outcomes)
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
		t.Errorf("the answer is %q, %v, want got 5", got, err)
	}
	ln.Close()
	if _, err := a.DialContext(t.Context(), "tcp", ln.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the dial of a closed port ended with %v, want %v", err, syscall.ECONNREFUSED)
	}
}
