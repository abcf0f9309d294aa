package contexts

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// logQueueBytes bounds what a child holds of records that could not be sent
// yet. Logging never waits: what does not fit is dropped and counted.
const logQueueBytes = 1 << 20

// logSender takes the records of a child to the master.
type logSender struct {
	level slog.LevelVar

	// Guarded by mu.
	mu      sync.Mutex
	queue   []logRecord
	bytes   int
	dropped int
	flushes []chan struct{} // closed when what is queued now has been sent
	wake    chan struct{}   // capacity 1; put sends, the sending goroutine receives
}

func newLogSender() *logSender { return &logSender{wake: make(chan struct{}, 1)} }

func (s *logSender) handler() slog.Handler { return &recordHandler{sender: s} }

// follow takes the level of the context's log, now and whenever it changes.
func (s *logSender) follow(l *local) {
	s.level.Set(l.level.Level())
	l.levelChanged = s.level.Set
}

// start begins to send, which needs the link to the parent. The goroutine ends
// with the context's sendCtx.
func (s *logSender) start(l *local) { l.backgroundWG.Go(func() { s.loop(l) }) }

// output queues a printed line.
func (s *logSender) output(line []byte) {
	s.put(logRecord{Kind: recordOutput, Time: time.Now().UnixNano(), Message: string(bytes.ToValidUTF8(line, []byte("�")))})
}

func (s *logSender) put(r logRecord) {
	size := 64 + len(r.Message)
	for _, a := range r.Attrs {
		size += 16 + len(a.Key)
		if v, ok := a.Value.(string); ok {
			size += len(v)
		}
	}
	s.mu.Lock()
	if s.bytes+size > logQueueBytes {
		s.dropped++
	} else {
		s.queue = append(s.queue, r)
		s.bytes += size
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take empties the queue, with a record of what was dropped behind it.
func (s *logSender) take() (queue []logRecord, flushes []chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue, flushes = s.queue, s.flushes
	if s.dropped > 0 {
		queue = append(queue, logRecord{Kind: recordDropped, Time: time.Now().UnixNano(), Level: s.dropped})
	}
	s.queue, s.bytes, s.dropped, s.flushes = nil, 0, 0, nil
	return queue, flushes
}

// flush waits until what was put so far has been sent, or ctx is done.
func (s *logSender) flush(ctx context.Context) {
	sent := make(chan struct{})
	s.mu.Lock()
	s.flushes = append(s.flushes, sent)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	select {
	case <-sent:
	case <-ctx.Done():
	}
}

func (s *logSender) loop(l *local) {
	for {
		queue, flushes := s.take()
		for _, r := range queue {
			b, err := core.Marshal(r)
			if err != nil {
				continue // a value that slog let through and CBOR does not know
			}
			err = l.router.Send(l.sendCtx, core.Master, core.HandleLog, core.HandleNone, 0, b)
			if err != nil && !l.outlives() {
				return
			}
		}
		for _, sent := range flushes {
			close(sent)
		}
		select {
		case <-s.wake:
		case <-l.sendCtx.Done():
			return
		}
	}
}
