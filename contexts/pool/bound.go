package pool

import (
	"errors"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// A bound is how many connections a host lets in, as it has taught.
//
// A refusal may be that of a moment, as of sshd beyond MaxStartups, or a lasting one. So the
// bound soon rises by one, if somebody wants that, and later each time it turned out too high.
type bound struct {
	limit   int           // of connections
	changed time.Time     // when limit was last changed
	pause   time.Duration // from then on until it may rise
	risen   bool          // limit has risen, and no connection has been opened since
	refusal error         // of the last connection that was not let in; nil: the last one was
	timer   *time.Timer   // fires when limit may rise; nil: it does not run
}

const (
	briefPause = time.Second
	longPause  = 5 * time.Minute
)

// isLearned reports whether a host has taught its bound, and that still counts.
func (b *bound) isLearned() bool { return b.pause > 0 && time.Since(b.changed) < b.pause }

// isBrief reports whether the host has refused for the first time, and that still counts.
func (b *bound) isBrief() bool { return b.pause == briefPause && b.isLearned() }

// raise lets the bound rise, if it is reached and the time has come.
func (h *host) raise(most int) {
	if h.conns >= h.limit && h.limit < most && !h.isLearned() {
		h.limit, h.changed, h.risen = h.limit+1, time.Now(), true
	}
}

// lower notes that a host lets in no more connections than there are. A reason that lasts is
// heeded for long.
func (b *bound) lower(conns int, err error) {
	switch {
	case !isTemporary(err):
		b.pause = longPause
	case b.pause == 0:
		b.pause = briefPause
	case b.risen:
		b.pause = min(2*b.pause, longPause)
	}
	b.limit, b.changed, b.risen, b.refusal = min(b.limit, max(conns, 1)), time.Now(), false, err
}

// isTemporary reports whether a further connection may be had later. One that was lost as soon
// as it was made is such a case.
func isTemporary(err error) bool {
	return connect.Temporary(err) || errors.Is(err, contexts.ErrGone)
}

// letIn notes that a host has let a connection in.
func (b *bound) letIn() {
	b.refusal = nil
	if b.risen {
		b.risen, b.pause = false, briefPause
	}
}

// later has a host looked at again when its bound may rise. mu is held.
func (s *shared) later(h *host) {
	if h.timer != nil || s.closed {
		return
	}
	h.timer = time.AfterFunc(h.pause-time.Since(h.changed), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		h.timer = nil
		if s.closed {
			return
		}
		s.serveWanting()
		s.forgetHost(h)
	})
}

func (h *host) stopTimer() {
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}

// refused deals with a connection of a line that could not be opened, and still counts. mu is held.
func (s *shared) refused(l *line, err error) {
	h := l.host
	others := h.conns - 1 // those that leave are still there
	if others > 0 && (isTemporary(err) || len(l.ready) > 0) {
		// The server lets no more in, and those who wait share what there is.
		h.lower(others, err)
		return
	}
	for _, other := range h.lines {
		if len(other.ready)+len(other.opening) == 0 {
			other.fail(err)
		}
	}
}
