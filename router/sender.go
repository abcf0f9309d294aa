package router

import (
	"sync"

	"github.com/mitosis-go/mitosis/core"
)

// sender is the sending side of a stream or of a split message. It waits for credit and
// budget. One goroutine at a time calls acquire.
type sender struct {
	budget *budget
	wake   chan struct{} // capacity 1; grant sends, acquire receives

	mu    sync.Mutex
	w     sendWindow
	ended bool // nothing is borrowed any more, because it would not be given back
}

func (s *sender) init(b *budget, window uint64) {
	s.budget, s.wake, s.w = b, make(chan struct{}, 1), sendWindow{granted: window}
}

// acquire waits until at least one byte may be sent, and returns how many bytes, at most n, may
// be sent now. It returns 0 when one of the channels is closed first.
func (s *sender) acquire(n int, cancel, dead <-chan struct{}) int {
	for {
		got, credit := s.take(n)
		if got > 0 {
			return got
		}
		var freed <-chan struct{}
		if credit {
			freed = s.budget.wait()
			// Bytes may have been given back before wait.
			if got, _ = s.take(n); got > 0 {
				return got
			}
		}
		select {
		case <-s.wake:
		case <-freed:
		case <-cancel:
			return 0
		case <-dead:
			return 0
		}
	}
}

// take returns how many bytes, at most n, may be sent now. credit reports whether the
// receiver allows more.
func (s *sender) take(n int) (got int, credit bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, false
	}
	return int(s.w.take(uint64(n), s.budget.take)), s.w.credit() > 0
}

// unacquire gives back bytes that were not sent in the end.
func (s *sender) unacquire(n int) {
	s.mu.Lock()
	s.w.untake(uint64(n))
	s.mu.Unlock()
}

// grant takes the body of a credit frame. It reports false if no honest receiver sends it.
func (s *sender) grant(body []byte) bool {
	more, n, err := core.ParseUint(body)
	if err != nil {
		return false
	}
	arrived, _, err := core.ParseUint(body[n:])
	if err != nil {
		return false
	}
	s.mu.Lock()
	back, ok := s.w.grant(more, arrived)
	s.mu.Unlock()
	s.budget.give(back)
	if ok {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return ok
}

// release gives back the borrowed bytes. A channel of a waiting acquire must have been closed
// before.
func (s *sender) release() {
	s.mu.Lock()
	s.ended = true
	back := s.w.borrowed
	s.w.borrowed = 0
	s.mu.Unlock()
	s.budget.give(back)
}

// arrived returns the number of bytes that have arrived, according to the receiver.
func (s *sender) arrived() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.arrived
}
