//go:build linux

package lab_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// connect dials the echo server of the test process from within the host.
func connect(t *testing.T, h *lab.Running, addr string) net.Conn {
	t.Helper()
	c, err := h.Dial(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// roundTrip sends a byte and waits for it to come back.
func roundTrip(c net.Conn, limit time.Duration) (time.Duration, error) {
	start := time.Now()
	c.SetDeadline(start.Add(limit))
	if _, err := c.Write([]byte{'x'}); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

func TestCutIsSilentAndHeals(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{Name: "far"})
	addr := echo(t)
	for name, cut := range map[string]func(bool) error{
		"all": func(on bool) error {
			if on {
				return h.Cut()
			}
			return h.Heal()
		},
		"station": func(on bool) error {
			if on {
				return h.CutFrom(nil)
			}
			return h.HealFrom(nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, h, addr)
			if _, err := roundTrip(c, 10*time.Second); err != nil {
				t.Fatal(err)
			}
			if err := cut(true); err != nil {
				t.Fatal(err)
			}
			if _, err := roundTrip(c, 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a round trip while the link is cut: error %v, want %v", err, os.ErrDeadlineExceeded)
			}
			// A new connection gets no answer either, not even "unreachable".
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if c, err := h.Dial(ctx, "tcp", addr); err == nil {
				c.Close()
				t.Error("a new connection was made while the link is cut, want a timeout")
			} else if late, ok := errors.AsType[net.Error](err); !ok || !late.Timeout() {
				t.Errorf("a new connection while the link is cut: error %v, want a timeout", err)
			}
			if err := cut(false); err != nil {
				t.Fatal(err)
			}
			// The byte that was sent before arrives now.
			c.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Errorf("reading the byte that was sent before the cut: %v, want it to arrive", err)
			}
			if _, err := roundTrip(c, 20*time.Second); err != nil {
				t.Errorf("a round trip after the cut: %v, want no error", err)
			}
		})
	}
}

func TestCutBetweenTwoHosts(t *testing.T) {
	lab.Require(t)
	a := lab.Start(t, lab.Host{Name: "a", SSHD: &lab.SSHD{}})
	b := lab.Start(t, lab.Host{Name: "b"})
	reaches := func(dial func(context.Context, string, string) (net.Conn, error)) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		c, err := dial(ctx, "tcp", a.Addr())
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	if !reaches(b.Dial) || !reaches(lab.Dial) {
		t.Fatal("before the cut host b or the test process can't connect to host a, want both to")
	}
	if err := b.CutFrom(a); err != nil {
		t.Fatal(err)
	}
	if reaches(b.Dial) || !reaches(lab.Dial) {
		t.Error("after b.CutFrom(a) b still connects to a, or the test process does not, want only b cut off")
	}
	if err := b.HealFrom(a); err != nil {
		t.Fatal(err)
	}
	if !reaches(b.Dial) {
		t.Error("after b.HealFrom(a) b can't connect to a, want a connection")
	}
}

func TestShapedLink(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{})
	c := connect(t, h, echo(t))
	best := func() time.Duration {
		t.Helper()
		least := time.Hour
		for range 20 {
			took, err := roundTrip(c, 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			least = min(least, took)
		}
		return least
	}
	plain := best()
	for _, rtt := range []time.Duration{time.Millisecond, 25 * time.Millisecond} {
		if err := h.Shape(lab.Link{RTT: rtt}); err != nil {
			t.Fatal(err)
		}
		shaped := best()
		t.Logf("round trip %v, with %v more %v", plain, rtt, shaped)
		if shaped < rtt || shaped > rtt+plain+3*time.Millisecond {
			t.Errorf("a round trip with %v added took %v at best, want at least that and at most %v", rtt, shaped, rtt+plain+3*time.Millisecond)
		}
	}
	if err := h.Shape(lab.Link{}); err != nil {
		t.Fatal(err)
	}
	if again := best(); again > 10*time.Millisecond {
		t.Errorf("a round trip after the zero Link took %v at best, want at most 10ms", again)
	}
}

func TestRateIsHeld(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{})
	c := connect(t, h, echo(t))
	const rate, amount = 1 << 20, 512 << 10
	if err := h.Shape(lab.Link{Rate: rate, Loss: 0.001}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	c.SetDeadline(start.Add(30 * time.Second))
	go c.Write(make([]byte, amount))
	if _, err := io.ReadFull(c, make([]byte, amount)); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	t.Logf("%d bytes at %d a second took %v", amount, rate, took)
	if took < 400*time.Millisecond {
		t.Errorf("%d bytes at %d a second took %v, want at least 400ms", amount, rate, took)
	}
}

func TestUnknownNamesAreRefused(t *testing.T) {
	lab.Require(t)
	lab.Start(t, lab.Host{Name: "known"})
	if c, err := lab.Dial(t.Context(), "tcp", "unknown:22"); err == nil {
		c.Close()
		t.Error("Dial has connected to a name that no host has, want an error")
	}
}

// echo listens in the test process, and sends back all bytes that it gets. It returns its
// address.
func echo(t *testing.T) string {
	t.Helper()
	l, err := lab.Listen("tcp", lab.StationIP+":0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	return l.Addr().String()
}
