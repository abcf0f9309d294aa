package contexts

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// The bounds of what one context may log at the master: so many records a
// second, with a reserve for bursts, and so many bytes waiting.
const (
	logRate     = 2000
	logBurst    = 10000
	logHubBytes = 4 << 20
)

// logHub takes the records of all other contexts to the master's logger. The
// reader of a link puts them into a queue; one goroutine empties it, so that
// a slow logger holds up nobody but itself.
type logHub struct {
	l *local

	// Guarded by mu.
	mu     sync.Mutex
	queue  []hubItem
	bytes  int
	meters map[core.ID]*logMeter
	closed bool
	wake   chan struct{} // capacity 1; readers of links send, loop receives
	done   chan struct{} // closed by loop
}

type hubItem struct {
	src  core.ID
	path string
	body []byte
}

// logMeter counts the records of one context.
type logMeter struct {
	core.Meter
	path    string
	dropped int
	gone    bool // the context has ended, and what was dropped is to be told yet
}

func newLogHub(l *local) *logHub {
	h := &logHub{l: l, meters: make(map[core.ID]*logMeter), wake: make(chan struct{}, 1), done: make(chan struct{})}
	go h.loop()
	return h
}

// onLog takes a frame to HandleLog, on the reader of a link.
func (l *local) onLog(m router.Message) {
	if l.logs != nil {
		l.logs.put(m)
	}
}

func (h *logHub) put(m router.Message) {
	path := h.l.pathOf(m.Src)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	meter := h.meters[m.Src]
	if meter == nil {
		meter = &logMeter{path: path}
		h.meters[m.Src] = meter
	}
	if !meter.Take(time.Now(), 1, logRate, logBurst) || h.bytes+len(m.Body) > logHubBytes {
		meter.dropped++
		return
	}
	h.queue = append(h.queue, hubItem{m.Src, path, m.Body})
	h.bytes += len(m.Body)
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// loop shows records until close. What is queued by then is shown.
func (h *logHub) loop() {
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
			r := logRecord{Kind: recordDropped, Time: time.Now().UnixNano(), Level: dropped[item.src]}
			h.emit(r, item.path)
		}
		if closed {
			return
		}
	}
}

func (h *logHub) show(item hubItem) {
	var r logRecord
	if err := core.Unmarshal(item.body, &r); err != nil {
		h.l.log.Warn("a log record cannot be read", "context", item.path, "err", err)
		return
	}
	h.emit(r, item.path)
}

func (h *logHub) emit(r logRecord, path string) {
	if out := h.l.cfg.Output; out != nil && r.Kind == recordOutput {
		_, _ = io.WriteString(out, fmt.Sprintf("[%s] %s\n", path, r.Message))
		return
	}
	ctx := context.Background()
	record := r.slogRecord(path)
	if handler := h.l.log.Handler(); handler.Enabled(ctx, record.Level) {
		_ = handler.Handle(ctx, record)
	}
}

// drop forgets a context that is gone.
func (h *logHub) drop(id core.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.meters[id]; m != nil {
		m.gone = true // loop forgets it
	}
}

func (h *logHub) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
	<-h.done
}

// SetLogLevel sets the least level that the contexts below the local one send
// from now on. Contexts that are connected later get it as well.
func (n *Node) SetLogLevel(level slog.Level) error {
	if n.id != n.self.id {
		return &Error{Op: "set log level", Path: n.String(), Err: ErrRefused}
	}
	n.self.setLevel(level)
	return nil
}

// setLevel takes over a level and hands it to the children.
func (l *local) setLevel(level slog.Level) {
	l.level.Set(level)
	if l.levelChanged != nil {
		l.levelChanged(level)
	}
	b, err := core.Marshal(int(level))
	if err != nil {
		return
	}
	l.childMu.Lock()
	defer l.childMu.Unlock()
	for id := range l.children {
		l.background(func(ctx context.Context) {
			_ = l.router.Send(ctx, id, core.HandleLevel, core.HandleNone, 0, b)
		})
	}
}

// onLevel takes a frame to HandleLevel, on the reader of the parent's link.
func (l *local) onLevel(m router.Message) {
	var level int
	if m.Rights == router.Full && core.Unmarshal(m.Body, &level) == nil {
		l.setLevel(slog.Level(level))
	}
}
