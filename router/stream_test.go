package router

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/mitosis-go/mitosis/core"
)

// openStreams returns the two ends of a stream from a to b.
func openStreams(t testing.TB, a, b *testNode) (*Stream, *Stream) {
	t.Helper()
	accepted := make(chan *Stream, 1)
	b.handle(func(n *testNode, m Message) {
		s, err := n.AcceptStream(m)
		if err != nil {
			n.Refuse(m, err)
		}
		accepted <- s
	})
	s := a.NewStream(b.Self())
	if err := a.Send(context.Background(), b.Self(), core.HandleCall, s.Handle(), 0, nil); err != nil {
		t.Fatal(err)
	}
	far := <-accepted
	if far == nil {
		t.Fatal("the stream was not accepted")
	}
	return s, far
}

func TestStreamIsAConn(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T) (a, b *testNode)
	}{
		{"pipe", func(t *testing.T) (a, b *testNode) {
			m := newMaster(t, Config{})
			return m, m.child(Config{})
		}},
		{"upward", func(t *testing.T) (a, b *testNode) {
			m := newMaster(t, Config{})
			return m.child(Config{}), m
		}},
		{"socket", func(t *testing.T) (a, b *testNode) {
			m := newMaster(t, Config{})
			x, y := socketPair(t)
			return m, m.child(Config{}, x, y)
		}},
		{"middle", func(t *testing.T) (a, b *testNode) {
			m := newMaster(t, Config{})
			return m, m.child(Config{}).child(Config{})
		}},
		{"siblings", func(t *testing.T) (a, b *testNode) {
			m := newMaster(t, Config{AllowSiblings: true})
			return m.child(Config{AllowSiblings: true}), m.child(Config{AllowSiblings: true})
		}},
		{"granted", func(t *testing.T) (a, b *testNode) {
			m := newMaster(t, Config{})
			k := m.child(Config{})
			a, b = k.child(Config{}), k.child(Config{})
			if err := m.Grant(a.Self(), b.Self()); err != nil {
				t.Fatal(err)
			}
			m.mustCall(a.Self(), "what the master sends comes after the grant")
			return a, b
		}},
		{"self", func(t *testing.T) (a, b *testNode) {
			m := newMaster(t, Config{})
			return m, m
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b := c.make(t)
				s, far := openStreams(t, a, b)
				return s, far, func() { s.Close(); far.Close() }, nil
			})
		})
	}
}

func TestStreamCarriesMuchBothWays(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	g := k.child(Config{})
	a, b := openStreams(t, m, g)
	const size = 40 * mib
	sums := make(chan [32]byte, 4)
	errs := make(chan error, 4)
	for i, s := range []*Stream{a, b} {
		go func() {
			h := sha256.New()
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			buf := make([]byte, 200_000)
			for left := size; left > 0; {
				n := min(left, 1+rng.IntN(len(buf)))
				for j := range n {
					buf[j] = byte(j*7 + n)
				}
				h.Write(buf[:n])
				if _, err := s.Write(buf[:n]); err != nil {
					errs <- err
					return
				}
				left -= n
			}
			sums <- [32]byte(h.Sum(nil))
			errs <- s.CloseWrite()
		}()
		go func() {
			h := sha256.New()
			n, err := io.Copy(h, s)
			if err == nil && n != size {
				err = fmt.Errorf("%d bytes came", n)
			}
			sums <- [32]byte(h.Sum(nil))
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	count := map[[32]byte]int{}
	for range 4 {
		count[<-sums]++
	}
	for _, n := range count {
		if n != 2 {
			t.Fatal("what came is not what was sent")
		}
	}
	a.Close()
	b.Close()
	checkIdle(t, m, k, g)
}

// An end that is closed at once is found closed by what the other end sends
// meanwhile. The answer to that must not overtake what was written before.
func TestTheLastWordsOfAnEarlyEndArrive(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	g := k.child(Config{})
	want := bytes.Repeat([]byte("last words "), 1000)
	g.handle(func(n *testNode, q Message) {
		s, err := n.AcceptStream(q)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = s.Write(want)
		s.Reset(fs.ErrPermission)
	})
	for i := range 300 {
		s := m.NewStream(g.Self())
		if err := m.Send(context.Background(), g.Self(), core.HandleCall, s.Handle(), 0, nil); err != nil {
			t.Fatal(err)
		}
		writer := make(chan struct{})
		go func() {
			defer close(writer)
			for {
				if _, err := s.Write([]byte("a word against it")); err != nil {
					return
				}
			}
		}()
		got, err := io.ReadAll(s)
		if !bytes.Equal(got, want) || !errors.Is(err, fs.ErrPermission) {
			t.Fatalf("stream %d: %d bytes, %v", i, len(got), err)
		}
		<-writer
		s.Close()
	}
	checkIdle(t, m, k, g)
}

func TestTheFarErrorTakesThePlaceOfEOF(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	a, b := openStreams(t, m, k)
	if _, err := b.Write([]byte("half a fi")); err != nil {
		t.Fatal(err)
	}
	b.Reset(fmt.Errorf("read disk: %w", fs.ErrPermission))
	got, err := io.ReadAll(a)
	if string(got) != "half a fi" || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("read %q, %v; want half a file and fs.ErrPermission", got, err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("write: %v", err)
	}
	a.Close()
	checkIdle(t, m, k)
}

// The opener's first credit may meet an end that is just being reset: what it is
// told is why, whichever of the two is faster.
func TestAResetWhileTheStreamOpens(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	k.handle(func(n *testNode, msg Message) {
		s, err := n.AcceptStream(msg)
		if err != nil {
			n.Refuse(msg, err)
			return
		}
		s.Reset(fs.ErrPermission)
	})
	for i := range 1000 {
		s := m.NewStream(k.Self())
		if err := m.Send(t.Context(), k.Self(), core.HandleCall, s.Handle(), 0, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, fs.ErrPermission) {
			t.Fatalf("stream %d: %v", i, err)
		}
		s.Close()
	}
	checkIdle(t, m, k)
}

func TestCloseWriteLeavesTheOtherDirection(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	a, b := openStreams(t, m, k)
	_, _ = a.Write([]byte("question"))
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); string(got) != "question" || err != nil {
		t.Fatalf("read %q, %v; want the question", got, err)
	}
	_, _ = b.Write([]byte("answer"))
	b.Close()
	if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
		t.Fatalf("read %q, %v; want the answer", got, err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, core.ErrClosed) {
		t.Errorf("write after the end: %v", err)
	}
	a.Close()
	checkIdle(t, m, k)
}

func TestAStreamThatIsClosedStopsItsWriter(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	a, b := openStreams(t, m, k)
	errs := make(chan error, 1)
	go func() {
		for {
			if _, err := a.Write(make([]byte, 10_000)); err != nil {
				errs <- err
				return
			}
		}
	}()
	_, _ = io.ReadFull(b, make([]byte, 100_000))
	b.Close()
	if err := <-errs; !errors.Is(err, core.ErrClosed) {
		t.Errorf("Write to an end that was closed: %v, want ErrClosed", err)
	}
	a.Close()
	checkIdle(t, m, k)
}

func TestACallThatFailsFailsItsStream(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	for _, size := range []int{0, 100_000} {
		k.handle(func(n *testNode, q Message) {
			err := fmt.Errorf("%s%w", bytes.Repeat([]byte("x"), size), fs.ErrNotExist)
			_ = n.Send(context.Background(), q.Src, q.Reply, 0, core.Dead, core.EncodeError(err))
		})
		s := m.NewStream(k.Self())
		_ = m.Send(context.Background(), k.Self(), core.HandleCall, s.Handle(), 0, nil)
		if _, err := s.Write(make([]byte, 1)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Write: %v, want the error of the refusal", err)
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Read: %v, want the error of the refusal", err)
		}
		s.Close()
	}
	checkIdle(t, m, k)
}

func TestALostContextEndsItsStreams(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	g := k.child(Config{})
	a, b := openStreams(t, m, g)
	_, _ = b.Write([]byte("last words"))
	g.up.carrier.Close()
	got, err := io.ReadAll(a)
	if !errors.Is(err, core.ErrGone) {
		t.Errorf("read %q, %v; want ErrGone", got, err)
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, core.ErrGone) {
		t.Errorf("at the other end: %v", err)
	}
	a.Close()
	b.Close()
	checkIdle(t, m, k, g)
}

func TestStalledReadersHoldNoMoreThanTheBudget(t *testing.T) {
	limits := Limits{ReceiveBudget: 1 * mib, SendBudget: 1 * mib}
	m := newMaster(t, Config{Limits: limits})
	k := m.child(Config{Limits: limits})
	g := k.child(Config{Limits: limits})
	var streams []*Stream
	var writers sync.WaitGroup // until their deadlines: each has filled its window by then
	for range 12 {
		a, b := openStreams(t, m, g)
		streams = append(streams, a, b)
		_ = a.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		writers.Go(func() {
			for {
				if _, err := a.Write(make([]byte, 100_000)); err != nil {
					return
				}
			}
		})
	}
	writers.Wait()
	held := 0
	for _, s := range streams {
		s.mu.Lock()
		held += int(s.in.received - s.in.consumed)
		s.mu.Unlock()
	}
	if held > limits.ReceiveBudget {
		t.Errorf("%d bytes are held, %d allowed", held, limits.ReceiveBudget)
	}
	// The links are free for others, and a stream that is read goes on.
	g.handle(nil)
	m.mustCall(g.Self(), "hello")
	a, b := streams[0], streams[1]
	_ = a.SetWriteDeadline(time.Time{})
	go func() {
		_, _ = a.Write(make([]byte, 3*mib))
		_ = a.CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, b); err != nil || n < 3*mib {
		t.Errorf("%d bytes, %v", n, err)
	}
	for _, s := range streams {
		s.Close()
	}
	checkIdle(t, m, k, g)
}

// However many streams are opened that nobody reads: one that is read gets a
// window of the usual size.
func TestIdleStreamsLeaveRoomForOthers(t *testing.T) {
	limits := Limits{ReceiveBudget: 4 * mib}
	m := newMaster(t, Config{Limits: limits})
	k := m.child(Config{Limits: limits})
	var streams []*Stream
	for range 40 {
		a, b := openStreams(t, m, k)
		streams = append(streams, a, b)
	}
	for _, end := range streams[len(streams)-2:] {
		end.mu.Lock()
		if got := end.growLocked(firstWindow); got < firstWindow {
			t.Errorf("there are %d bytes left to grow by", got)
		}
		end.mu.Unlock()
	}
	for _, s := range streams {
		s.Close()
	}
	checkIdle(t, m, k)
}

func TestTooManyStreams(t *testing.T) {
	m := newMaster(t, Config{Limits: Limits{Streams: 3, ReceiveBudget: 40 * openWindow}})
	k := m.child(Config{})
	m.handle(func(n *testNode, q Message) {
		s, err := n.AcceptStream(q)
		if err != nil {
			n.Refuse(q, err)
			return
		}
		_, _ = io.Copy(io.Discard, s)
		s.Close()
	})
	var open []*Stream
	for range 3 {
		s := k.NewStream(0)
		open = append(open, s)
		_ = k.Send(context.Background(), 0, core.HandleCall, s.Handle(), 0, nil)
		if _, err := s.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	s := k.NewStream(0)
	_ = k.Send(context.Background(), 0, core.HandleCall, s.Handle(), 0, nil)
	if _, err := s.Write([]byte("x")); !errors.Is(err, core.ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	for _, s := range append(open, s) {
		s.Close()
	}
	eventually(t, "all are closed", func() bool { return m.receiveBudget.has() == 40*openWindow })
	for range 40 {
		open = append(open, m.NewStream(k.Self()))
	}
	last := m.NewStream(k.Self())
	if _, err := last.Read(make([]byte, 1)); !errors.Is(err, core.ErrBusy) {
		t.Errorf("beyond the budget: %v", err)
	}
	m.close()
}

func TestSlowCallsAreNotHeldUpByBulk(t *testing.T) {
	m := newMaster(t, Config{})
	x, y := socketPair(t)
	k := m.child(Config{}, x, y)
	a, b := openStreams(t, m, k)
	k.handle(nil)
	go func() {
		buf := make([]byte, 1*mib)
		for {
			if _, err := a.Write(buf); err != nil {
				return
			}
		}
	}()
	go func() { _, _ = io.Copy(io.Discard, b) }()
	start := time.Now()
	for range 100 {
		m.mustCall(k.Self(), "quick")
	}
	if d := time.Since(start) / 100; d > 50*time.Millisecond {
		t.Errorf("a call took %v", d)
	}
	a.Close()
	b.Close()
}
