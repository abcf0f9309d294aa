package router

import (
	"testing"
	"time"
)

// link is one direction of a stream in a model without goroutines: what the
// sender sent and has not come, and credit that has not come back.
type modelLink struct {
	send    sendWindow
	recv    recvWindow
	way     []uint64    // frames
	back    [][2]uint64 // credit
	buffer  uint64      // received, not read
	budget  uint64      // of the sender
	receive uint64      // budget of the receiver
	held    uint64      // of it
	now     time.Time
}

func newModelLink(send, receive uint64) *modelLink {
	return &modelLink{
		send: sendWindow{granted: openWindow}, recv: newRecvWindow(openWindow),
		budget: send, receive: receive, held: openWindow, now: time.Unix(1, 0),
	}
}

func (m *modelLink) borrow(n uint64) uint64 { n = min(n, m.budget); m.budget -= n; return n }

func (m *modelLink) grow(n uint64) uint64 {
	n = min(n, m.receive-min(m.receive, m.held))
	m.held += n
	return n
}

func (m *modelLink) write(n uint64) {
	if n = m.send.take(n, m.borrow); n > 0 {
		m.way = append(m.way, n)
	}
}

// arrive reports false if the sender had no credit.
func (m *modelLink) arrive() bool {
	if len(m.way) == 0 {
		return true
	}
	n := m.way[0]
	m.way = m.way[1:]
	if !m.recv.receive(n, m.now) {
		return false
	}
	m.buffer += n
	if m.recv.unacknowledged() {
		m.credit()
	}
	return true
}

func (m *modelLink) read(n uint64) {
	n = min(n, m.buffer)
	m.buffer -= n
	if n > 0 && m.recv.consume(n, m.now, m.grow) {
		m.credit()
	}
}

func (m *modelLink) credit() {
	more, arrived := m.recv.next(m.now)
	m.back = append(m.back, [2]uint64{more, arrived})
}

// granted reports false if the sender finds the credit absurd.
func (m *modelLink) granted() bool {
	if len(m.back) == 0 {
		return true
	}
	c := m.back[0]
	m.back = m.back[1:]
	back, ok := m.send.grant(c[0], c[1])
	m.budget += back
	return ok
}

// FuzzCredit runs a stream in any order of events: the sender never exceeds
// what the receiver holds memory for, and however it went, a reader that reads
// on gets everything.
func FuzzCredit(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, uint32(0), uint32(1<<20))
	f.Add([]byte{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4}, uint32(1<<20), uint32(1<<26))
	f.Fuzz(func(t *testing.T, events []byte, send, receive uint32) {
		m := newModelLink(uint64(send), uint64(receive))
		check := func() {
			if out := m.recv.granted - m.recv.consumed; out > m.recv.window || m.recv.window > maxWindow || m.recv.window != m.held {
				t.Fatalf("%d bytes may be outstanding of a window of %d, held %d", out, m.recv.window, m.held)
			}
			if m.send.sent > m.send.granted || m.send.granted > m.recv.granted {
				t.Fatalf("%+v, %+v", m.send, m.recv)
			}
			if m.send.flight() > freeFlight+uint64(send) || m.budget+m.send.borrowed != uint64(send) {
				t.Fatalf("%d in flight, budget %d of %d left", m.send.flight(), m.budget, send)
			}
		}
		for _, e := range events {
			size := uint64(e>>3)*4000 + 1
			ok := true
			switch e & 7 {
			case 0, 1:
				m.write(size)
			case 2, 3:
				ok = m.arrive()
			case 4, 5:
				m.read(size)
			case 6:
				ok = m.granted()
			case 7:
				m.now = m.now.Add(time.Duration(size) * time.Microsecond)
			}
			if !ok {
				t.Fatalf("refused: %+v, %+v", m.send, m.recv)
			}
			check()
		}
		// From here on everybody does all they can.
		target := m.send.sent + 5*mib
		for range 100_000 {
			if m.send.sent < target {
				m.write(target - m.send.sent)
			}
			for len(m.way) > 0 {
				m.arrive()
			}
			m.read(m.buffer)
			for len(m.back) > 0 {
				m.granted()
			}
			m.now = m.now.Add(time.Millisecond)
			check()
			if m.recv.consumed == target {
				return
			}
		}
		t.Fatalf("stuck at %d of %d: %+v, %+v", m.recv.consumed, target, m.send, m.recv)
	})
}

func TestTheWindowGrowsWithTheRoundTrip(t *testing.T) {
	run := func(rtt time.Duration, rate uint64) uint64 {
		// The sender fills every window; the reader reads at a rate in bytes
		// per millisecond.
		m := newModelLink(1<<30, 1<<30)
		m.recv.window, m.held, m.send.granted, m.recv.granted = firstWindow, firstWindow, firstWindow, firstWindow
		type event struct {
			at   time.Time
			data uint64
			cred [2]uint64
		}
		var data, credit []event
		for range 20_000 {
			m.now = m.now.Add(time.Millisecond)
			if n := m.send.take(1<<30, m.borrow); n > 0 {
				data = append(data, event{at: m.now.Add(rtt / 2), data: n})
			}
			for len(data) > 0 && !data[0].at.After(m.now) {
				m.recv.receive(data[0].data, m.now)
				m.buffer += data[0].data
				data = data[1:]
			}
			m.read(rate)
			for _, c := range m.back {
				credit = append(credit, event{at: m.now.Add(rtt / 2), cred: c})
			}
			m.back = nil
			for len(credit) > 0 && !credit[0].at.After(m.now) {
				m.send.grant(credit[0].cred[0], credit[0].cred[1])
				credit = credit[1:]
			}
		}
		return m.recv.window
	}
	if w := run(100*time.Millisecond, 1<<30); w != maxWindow {
		t.Errorf("far away, with a fast reader: %d", w)
	}
	if w := run(100*time.Millisecond, 100); w != firstWindow {
		t.Errorf("far away, with a slow reader: %d", w)
	}
}

func TestCreditThatMakesNoSense(t *testing.T) {
	w := sendWindow{granted: 10}
	if _, ok := w.grant(1<<64-1, 0); ok {
		t.Error("credit that runs over was taken")
	}
	if _, ok := w.grant(0, 1); ok {
		t.Error("more arrived than was sent")
	}
}

// TestASenderThatHasEndedBorrowsNothing: a writer may be on its way to acquire
// when the stream ends.
func TestASenderThatHasEndedBorrowsNothing(t *testing.T) {
	b := &budget{left: 1 * mib}
	var s sender
	s.init(b, 512*kib)
	if got := s.acquire(100*kib, nil, nil); got != 100*kib {
		t.Fatalf("%d bytes", got)
	}
	dead := make(chan struct{})
	close(dead)
	s.release()
	if got := s.acquire(100*kib, nil, dead); got != 0 || b.left != 1*mib {
		t.Errorf("%d bytes after the end; %d of the budget are left", got, b.left)
	}
}
