package router

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// heartbeat finds out that a peer is dead where the carrier does not, and measures the round
// trip. Each side pings for itself. Any byte from the peer shows that it lives.
type heartbeat struct {
	rtt atomic.Int64

	// Owned by watch.
	lastIn uint64
	missed int

	// Guarded by mu.
	mu   sync.Mutex
	seq  uint64
	sent time.Time
}

// beat runs once per Limits.Heartbeat.
func (l *Link) beat() {
	h := &l.heart
	limit := l.r.limits.Heartbeat * time.Duration(l.r.limits.Missed)
	if in := l.bytesIn.Load(); in != h.lastIn {
		h.lastIn, h.missed = in, 0
	} else if h.missed++; h.missed >= l.r.limits.Missed {
		l.fail(&core.Error{Op: "link", Kind: core.KindGone, Err: fmt.Errorf("nothing has come from the peer for %v", limit)})
		return
	}
	// A peer that sends but does not read breaks the rule that readers never wait. Twice
	// the limit is long enough for a batch on a slow serial line.
	if since := l.writing.Load(); since != 0 && time.Since(time.Unix(0, since)) > 2*limit {
		l.fail(&core.Error{Op: "link", Kind: core.KindGone, Err: fmt.Errorf("the peer has read nothing for %v", 2*limit)})
		return
	}
	l.ping()
}

// ping sends a ping, without waiting.
func (l *Link) ping() {
	h := &l.heart
	h.mu.Lock()
	h.seq++
	h.sent = time.Now()
	f := l.control(core.HandlePing, core.AppendUint(nil, h.seq))
	h.mu.Unlock()
	if l.q.put(f, nil) != taken {
		f.Release()
	}
}

// onPing answers a ping.
func (l *Link) onPing(body []byte) {
	if len(body) > 64 {
		return
	}
	f := l.control(core.HandlePong, body)
	if l.q.put(f, l) != taken {
		f.Release()
	}
}

// onPong measures the round trip.
func (l *Link) onPong(body []byte) {
	seq, _, err := core.ParseUint(body)
	h := &l.heart
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && seq == h.seq && !h.sent.IsZero() {
		h.rtt.Store(int64(max(1, time.Since(h.sent))))
		h.sent = time.Time{}
	}
}
