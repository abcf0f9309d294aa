package router

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/mitosis-go/mitosis/core"
)

var errFault = errors.New("fault")

// faulty is a carrier whose N-th read or write fails.
type faulty struct {
	io.ReadWriteCloser
	reads, writes, tries atomic.Int64 // until the fault; negative: never
}

// faultyTry is one that takes inline writes.
type faultyTry struct{ *faulty }

func (f faultyTry) TryWrite(b []byte) int {
	w := f.ReadWriteCloser.(TryWriter)
	if f.tries.Add(-1) == 0 {
		n := w.TryWrite(b[:len(b)/2])
		_ = f.Close()
		return n
	}
	return w.TryWrite(b)
}

func (f *faulty) Read(b []byte) (int, error) {
	if f.reads.Add(-1) == 0 {
		return 0, errFault
	}
	return f.ReadWriteCloser.Read(b)
}

func (f *faulty) Write(b []byte) (int, error) {
	if f.writes.Add(-1) == 0 {
		// Half of it still arrives, and the pipe breaks.
		n, _ := f.ReadWriteCloser.Write(b[:len(b)/2])
		_ = f.Close()
		return n, errFault
	}
	return f.ReadWriteCloser.Write(b)
}

// TestFaultAtEveryReadAndWrite runs the same conversation again and again, with
// the fault one operation later each time, until there is none left. Whatever
// fails, everybody is told and nothing is left over.
func TestFaultAtEveryReadAndWrite(t *testing.T) {
	// So many there are at least; most of what is large is not written inline.
	for kind, least := range map[string]int64{"read": 10, "write": 10, "inline": 3} {
		t.Run(kind, func(t *testing.T) {
			n := int64(1)
			for ; n < 1000; n++ {
				if conversation(t, kind, n) {
					break
				}
			}
			if n < least || n == 1000 {
				t.Errorf("%d faults", n)
			}
		})
	}
}

// conversation reports whether the fault never came.
func conversation(t *testing.T, kind string, at int64) bool {
	m := newMaster(t, Config{})
	defer m.close()
	a, b := net.Pipe()
	f := &faulty{ReadWriteCloser: a}
	var near, far io.ReadWriteCloser = f, b
	switch kind {
	case "read":
		f.reads.Store(at)
	case "write":
		f.writes.Store(at)
	case "inline":
		f.tries.Store(at)
		f.ReadWriteCloser, far = smallPipe(1000)
		near = faultyTry{f}
	}
	id, block, _ := m.AllocID(context.Background())
	k := &testNode{t: t, parent: m}
	k.Router = New(k.config(Config{Self: id, Block: block, Ancestors: []core.ID{0}}))
	defer k.close()
	down, err := m.Attach(context.Background(), LinkConfig{Peer: id, Carrier: near})
	if err != nil {
		t.Fatal(err)
	}
	up, err := k.Attach(context.Background(), LinkConfig{Peer: 0, Parent: true, Carrier: far})
	if err != nil {
		t.Fatal(err)
	}
	linkError := func(err error) bool {
		return errors.Is(err, core.ErrGone) || errors.Is(err, core.ErrNoRoute)
	}
	whole := true
	for _, c := range []struct {
		from *testNode
		to   core.ID
		size int
	}{{m, id, 10}, {k, 0, 10}, {m, id, 600_000}, {k, 0, 300_000}} {
		if _, err := c.from.call(c.to, make([]byte, c.size)); err != nil {
			whole = false
			if !linkError(err) {
				t.Fatalf("%s %d: the call ended with %v, want the error of a link", kind, at, err)
			}
		}
	}
	s := m.NewStream(id)
	k.handle(func(n *testNode, q Message) {
		if far, err := n.AcceptStream(q); err == nil {
			_, _ = io.Copy(far, far)
			far.Close()
		}
	})
	err = m.Send(context.Background(), id, core.HandleCall, s.Handle(), 0, nil)
	if err == nil {
		go func() { _, _ = s.Write(make([]byte, 400_000)); _ = s.CloseWrite() }()
		_, err = io.Copy(io.Discard, s)
	}
	s.Close()
	if err != nil {
		whole = false
		if !linkError(err) {
			t.Fatalf("%s %d: stream: %v", kind, at, err)
		}
	}
	if !whole {
		<-down.Done()
		<-up.Done()
		if len(m.seen(EventLeft)) != 1 || len(k.seen(EventParentLost)) != 1 {
			t.Fatalf("%s %d: events %v above and %v below, want one of each", kind, at, m.seen(EventLeft), k.seen(EventParentLost))
		}
	}
	checkIdle(t, m, k)
	return whole
}

// trickle reads a byte at a time.
type trickle struct {
	io.Reader
	io.WriteCloser
}

func TestOneByteReads(t *testing.T) {
	m := newMaster(t, Config{})
	a, b := socketPair(t)
	k := m.child(Config{}, trickle{iotest.OneByteReader(a), a}, trickle{iotest.HalfReader(b), b})
	for _, size := range []int{0, 100, 70_000} {
		if got, err := m.call(k.Self(), make([]byte, size)); err != nil || len(got) != size {
			t.Errorf("%d bytes: %d, %v", size, len(got), err)
		}
	}
}
