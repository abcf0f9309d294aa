package router

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// basin is one direction of a pipe that holds so many bytes, as those of the
// kernel do.
type basin struct {
	capacity int

	mu     sync.Mutex
	change sync.Cond
	bytes  []byte
	closed bool
}

func newBasin(capacity int) *basin {
	b := &basin{capacity: capacity}
	b.change.L = &b.mu
	return b
}

// tryWriteLocked pours in what there is room for.
func (b *basin) tryWriteLocked(p []byte) int {
	if b.closed {
		return 0
	}
	n := min(len(p), b.capacity-len(b.bytes))
	b.bytes = append(b.bytes, p[:n]...)
	b.change.Broadcast()
	return n
}

func (b *basin) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.change.Broadcast()
}

// pipeEnd is one end of a pipe, which is a TryWriter.
type pipeEnd struct{ in, out *basin }

// smallPipe makes a pipe that holds so many bytes in each direction.
func smallPipe(capacity int) (a, b *pipeEnd) {
	x, y := newBasin(capacity), newBasin(capacity)
	return &pipeEnd{x, y}, &pipeEnd{y, x}
}

func (e *pipeEnd) Read(p []byte) (int, error) {
	b := e.in
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.bytes) == 0 {
		if b.closed {
			return 0, io.EOF
		}
		b.change.Wait()
	}
	n := copy(p, b.bytes)
	b.bytes = b.bytes[n:]
	b.change.Broadcast()
	return n, nil
}

func (e *pipeEnd) Write(p []byte) (n int, err error) {
	b := e.out
	b.mu.Lock()
	defer b.mu.Unlock()
	for n < len(p) {
		if b.closed {
			return n, io.ErrClosedPipe
		}
		n += b.tryWriteLocked(p[n:])
		if n < len(p) {
			b.change.Wait()
		}
	}
	return n, nil
}

func (e *pipeEnd) TryWrite(p []byte) int {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	return e.out.tryWriteLocked(p)
}

func (e *pipeEnd) Close() error {
	e.in.close()
	e.out.close()
	return nil
}

// TestInlineWritesMayEndAnywhere has the carrier take any number of bytes at a
// time, so that what was not written inline begins within every part of a frame.
func TestInlineWritesMayEndAnywhere(t *testing.T) {
	for capacity := 1; capacity < 130; capacity++ {
		m := newMaster(t, Config{})
		a, b := smallPipe(capacity)
		c, d := smallPipe(capacity)
		k := m.child(Config{}, a, b)
		g := k.child(Config{}, c, d)
		var calls sync.WaitGroup
		for i := range 6 {
			calls.Go(func() {
				body := bytes.Repeat([]byte{byte(i)}, 1<<(2*i))
				for range 5 {
					if got, err := m.call(g.Self(), body); err != nil || !bytes.Equal(got, body) {
						t.Errorf("%d bytes at a time: %d of %d bytes, %v", capacity, len(got), len(body), err)
					}
				}
			})
		}
		calls.Wait()
		eventually(t, "all that was written is counted, and was read", func() bool {
			out, in := k.down.Stats(), k.up.Stats()
			return out.FramesOut == in.FramesIn && out.BytesOut == in.BytesIn
		})
		checkIdle(t, m, k, g)
		m.close()
	}
}

// hooked is a carrier of which a test sees the inline writes.
type hooked struct {
	*pipeEnd
	try func(p []byte) int
}

func (h *hooked) TryWrite(p []byte) int { return h.try(p) }

func TestAnAnswerIsWrittenInline(t *testing.T) {
	m := newMaster(t, Config{})
	a, b := smallPipe(64 * kib)
	var mu sync.Mutex
	inline := 0
	k := m.child(Config{}, &hooked{a, func(p []byte) int {
		mu.Lock()
		inline++
		mu.Unlock()
		return a.TryWrite(p)
	}}, b)
	eventually(t, "the first ping is answered", func() bool { return k.down.Stats().RTT > 0 })
	const n = 20
	for range n {
		m.mustCall(k.Self(), "hello")
	}
	if inline != n {
		t.Errorf("%d of %d calls were written inline", inline, n)
	}
}

// TestInlineWritesKeepTheOrder mixes frames that are written inline with such
// as are queued because a write is under way.
func TestInlineWritesKeepTheOrder(t *testing.T) {
	for _, capacity := range []int{1, 100, 64 * kib} {
		m := newMaster(t, Config{})
		a, b := smallPipe(capacity)
		c, d := smallPipe(capacity)
		k := m.child(Config{}, a, b)
		g := k.child(Config{}, c, d)
		const n = 500
		for i := range n {
			if err := g.Send(context.Background(), core.Master, core.HandleLog, 0, 0, fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
			if i%7 == 0 {
				g.mustCall(core.Master, "an answer lets the next one be written inline")
			}
		}
		eventually(t, "all have come", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.logs) == n })
		for i, s := range m.logs {
			if s != fmt.Sprint(i) {
				t.Fatalf("%s came as number %d", s, i)
			}
		}
	}
}

// TestAStalledPeerHoldsNobodyUp has one child send to another that reads
// nothing, by way of a pipe that is soon full.
func TestAStalledPeerHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(t, Config{AllowSiblings: true})
		a, b := smallPipe(64 * kib)
		k := m.child(Config{AllowSiblings: true}, a, b)
		stalled, _ := smallPipe(10)
		id, _, _ := m.AllocID(context.Background())
		l, err := m.Attach(context.Background(), LinkConfig{Peer: id, Carrier: stalled})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if err := k.Send(context.Background(), id, core.HandleCall, 0, 0, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			k.mustCall(core.Master, "goes on")
			m.mustCall(k.Self(), "goes on")
		}
		start := time.Now()
		<-l.Done()
		if d := time.Since(start); d > 2*time.Minute {
			t.Errorf("it was noticed after %v", d)
		}
		k.mustCall(core.Master, "goes on")
		k.close()
		m.close()
	})
}

// TestALinkEndsWhileItIsWrittenInline closes a link, and lets the write in its
// midst end only then.
func TestALinkEndsWhileItIsWrittenInline(t *testing.T) {
	for name, takes := range map[string]func(int) int{
		"nothing is written": func(int) int { return 0 },
		"a part is written":  func(n int) int { return n / 2 },
		"all is written":     func(n int) int { return n },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMaster(t, Config{Limits: Limits{Flush: time.Millisecond}})
			a, b := smallPipe(64 * kib)
			defer b.Close()
			begun, goOn := make(chan struct{}), make(chan struct{})
			id, _, _ := m.AllocID(context.Background())
			l, err := m.Attach(context.Background(), LinkConfig{Peer: id, Carrier: &hooked{a, func(p []byte) int {
				close(begun)
				<-goOn
				return takes(len(p))
			}}})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the first ping is written", func() bool { return l.Stats().FramesOut == 1 })
			sent := make(chan error)
			go func() { sent <- m.Send(context.Background(), id, core.HandleCall, 0, 0, []byte("call")) }()
			<-begun
			if err := m.Send(context.Background(), id, core.HandleCall, 0, 0, []byte("behind it")); err != nil {
				t.Error(err)
			}
			l.Close(nil)
			<-l.Done()
			close(goOn)
			if err := <-sent; err != nil {
				t.Error(err)
			}
			if got := l.Stats().Queued; got != 0 {
				t.Errorf("%d bytes are left in the queue", got)
			}
			if err := m.Send(context.Background(), id, core.HandleCall, 0, 0, nil); err == nil {
				t.Error("a link that has ended takes a message")
			}
		})
	}
}
