package logs

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// queueBytes bounds the records that wait in a child to be sent. Logging never waits:
// records that do not fit are dropped and counted.
const queueBytes = 1 << 20

// A Sender takes the records of a child to the master.
type Sender struct {
	level slog.LevelVar

	// Guarded by mu.
	mu      sync.Mutex
	queue   []record
	bytes   int
	dropped int
	flushes []chan struct{} // each is closed when the records that were queued before it have been sent
	wake    chan struct{}   // capacity 1; put sends, Run receives
}

// NewSender makes a sender that queues records. Run sends them.
func NewSender(level slog.Level) *Sender {
	s := &Sender{wake: make(chan struct{}, 1)}
	s.level.Set(level)
	return s
}

// Handler returns the handler of the child's logger.
func (s *Sender) Handler() slog.Handler { return &handler{sender: s} }

// SetLevel sets the level that records must have.
func (s *Sender) SetLevel(level slog.Level) { s.level.Set(level) }

// output queues a printed line.
func (s *Sender) output(line []byte) {
	s.put(record{Kind: recordOutput, Time: time.Now().UnixNano(), Message: string(bytes.ToValidUTF8(line, []byte("�")))})
}

func (s *Sender) put(r record) {
	size := 64 + len(r.Message)
	for _, a := range r.Attrs {
		size += 16 + len(a.Key)
		if v, ok := a.Value.(string); ok {
			size += len(v)
		}
	}
	s.mu.Lock()
	if s.bytes+size > queueBytes {
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

// drain empties the queue. Its last record counts those that were dropped.
func (s *Sender) drain() (queue []record, flushes []chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue, flushes = s.queue, s.flushes
	if s.dropped > 0 {
		queue = append(queue, record{Kind: recordDropped, Time: time.Now().UnixNano(), Level: s.dropped})
	}
	s.queue, s.bytes, s.dropped, s.flushes = nil, 0, 0, nil
	return queue, flushes
}

// Flush waits until the records that were queued before it have been sent, or ctx ends.
func (s *Sender) Flush(ctx context.Context) {
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

// Run sends records until ctx ends, or until send reports false: nothing can be sent any
// more. send gets the body of one message.
func (s *Sender) Run(ctx context.Context, send func(body []byte) bool) {
	for {
		queue, flushes := s.drain()
		for _, r := range queue {
			b, err := core.Marshal(r)
			if err != nil {
				continue // a value that slog let through and CBOR does not know
			}
			if !send(b) {
				return
			}
		}
		for _, sent := range flushes {
			close(sent)
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
	}
}
