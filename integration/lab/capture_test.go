//go:build linux

package lab_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// A capture has every byte of both directions, in order. That includes packets that the kernel
// still holds when the capture ends.
func TestCaptureHasAllThatPassed(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{})
	addr := echo(t)
	before := connect(t, h, addr)
	c, err := h.Capture()
	if err != nil {
		t.Fatal(err)
	}
	during := connect(t, h, addr)
	sent := make([]byte, 4<<20)
	rand.Read(sent)
	during.SetDeadline(time.Now().Add(30 * time.Second))
	go during.Write(sent)
	if got, err := io.ReadAll(io.LimitReader(during, int64(len(sent)))); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back, error %v, want the %d bytes that were sent", len(got), err, len(sent))
	}
	flows, err := c.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := roundTrip(before, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if len(flows) != 2 {
		t.Fatalf("the capture has %d flows, want 2: one in each direction", len(flows))
	}
	for _, f := range flows {
		from, to := during.LocalAddr().String(), addr
		if f.From.String() != from {
			from, to = to, from
		}
		if f.From.String() != from || f.To.String() != to || !bytes.Equal(f.Data, sent) {
			t.Errorf("a flow is from %v to %v with %d bytes (equal to those sent: %v), want %s to %s with the %d bytes sent", f.From, f.To, len(f.Data), bytes.Equal(f.Data, sent), from, to, len(sent))
		}
	}
}
