package logs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// The bounds of the records that the master takes.
const (
	recordRate  = 2000    // of one context, each second
	recordBurst = 10000   // of one context, at once
	hubBytes    = 4 << 20 // of all contexts, in bytes that wait to be shown
)

// Hub takes the records of all other contexts to the master's logger. The reader of a link
// puts them into a queue, which one goroutine empties. So a slow logger holds up nothing
// else.
type Hub struct {
	// Immutable.
	log *slog.Logger
	out io.Writer // for printed lines; nil: they are records

	// Guarded by mu.
	mu     sync.Mutex
	queue  []hubItem
	bytes  int
	meters map[core.ID]*meter
	closed bool
	wake   chan struct{} // capacity 1; Put and Close send, loop receives
	done   chan struct{} // closed by loop
}

type hubItem struct {
	src  core.ID
	path string
	body []byte
}

// meter counts the records of one context.
type meter struct {
	core.Meter
	path    string
	dropped int
	gone    bool // the context has ended; its dropped records have yet to be counted
}

// NewHub makes a hub that shows records by log. It writes printed lines to out, or shows
// them by log if out is nil. Close ends it.
func NewHub(log *slog.Logger, out io.Writer) *Hub {
	h := &Hub{log: log, out: out, meters: make(map[core.ID]*meter), wake: make(chan struct{}, 1), done: make(chan struct{})}
	go h.loop()
	return h
}

// Put takes the body of a message from the context src, whose path is given. It does not
// wait.
func (h *Hub) Put(src core.ID, path string, body []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	m := h.meters[src]
	if m == nil {
		m = &meter{path: path}
		h.meters[src] = m
	}
	if !m.Take(time.Now(), 1, recordRate, recordBurst) || h.bytes+len(body) > hubBytes {
		m.dropped++
		return
	}
	h.queue = append(h.queue, hubItem{src, path, body})
	h.bytes += len(body)
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// loop shows records until Close, and then those that are queued.
func (h *Hub) loop() {
	defer close(h.done)
	report := time.NewTicker(time.Second)
	defer report.Stop()
	for {
		select {
		case <-h.wake:
		case <-report.C:
		}
		h.mu.Lock()
		queue, closed := h.queue, h.closed
		h.queue, h.bytes = nil, 0
		var drops []hubItem
		dropped := make(map[core.ID]int)
		for id, m := range h.meters {
			if m.dropped > 0 {
				drops = append(drops, hubItem{src: id, path: m.path})
				dropped[id], m.dropped = m.dropped, 0
			}
			if m.gone {
				delete(h.meters, id)
			}
		}
		h.mu.Unlock()
		for _, item := range queue {
			h.show(item)
		}
		for _, item := range drops {
			r := record{Kind: recordDropped, Time: time.Now().UnixNano(), Level: dropped[item.src]}
			h.emit(r, item.path)
		}
		if closed {
			return
		}
	}
}

func (h *Hub) show(item hubItem) {
	var r record
	if err := core.Unmarshal(item.body, &r); err != nil {
		h.log.Warn("a log record cannot be read", "context", item.path, "err", err)
		return
	}
	h.emit(r, item.path)
}

func (h *Hub) emit(r record, path string) {
	if h.out != nil && r.Kind == recordOutput {
		_, _ = io.WriteString(h.out, fmt.Sprintf("[%s] %s\n", path, r.Message))
		return
	}
	ctx := context.Background()
	shown := r.slogRecord(path)
	if handler := h.log.Handler(); handler.Enabled(ctx, shown.Level) {
		_ = handler.Handle(ctx, shown)
	}
}

// Drop forgets a context that is gone.
func (h *Hub) Drop(id core.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.meters[id]; m != nil {
		m.gone = true // loop forgets it
	}
}

// Close waits until the records in the queue are shown. Later ones are not taken.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
	<-h.done
}
