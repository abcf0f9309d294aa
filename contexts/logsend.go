package contexts

import (
	"bufio"
	"bytes"
	"errors"
	"io"
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
	wake    chan struct{} // capacity 1; put sends, the sending goroutine receives
}

func newLogSender() *logSender { return &logSender{wake: make(chan struct{}, 1)} }

func (s *logSender) handler() slog.Handler { return &recordHandler{sender: s} }

// start begins to send. The goroutine ends with the context's sendCtx.
func (s *logSender) start(l *local) {
	s.level.Set(l.level.Level())
	l.levelChanged = s.level.Set
	l.backgroundWG.Go(func() { s.loop(l) })
}

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
func (s *logSender) take() []logRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.queue
	if s.dropped > 0 {
		queue = append(queue, logRecord{Kind: recordDropped, Time: time.Now().UnixNano(), Level: s.dropped})
	}
	s.queue, s.bytes, s.dropped = nil, 0, 0
	return queue
}

func (s *logSender) loop(l *local) {
	for {
		for _, r := range s.take() {
			b, err := core.Marshal(r)
			if err != nil {
				continue // a value that slog let through and CBOR does not know
			}
			if l.router.Send(l.sendCtx, core.Master, core.HandleLog, core.HandleNone, 0, b) != nil {
				return
			}
		}
		select {
		case <-s.wake:
		case <-l.sendCtx.Done():
			return
		}
	}
}

// lineReader cuts a byte stream into lines of at most max bytes; longer ones
// come in pieces. A last line without an end is a line.
type lineReader struct {
	r   io.Reader
	max int
	br  *bufio.Reader
}

func (l *lineReader) next() ([]byte, error) {
	if l.br == nil {
		l.br = bufio.NewReaderSize(l.r, l.max)
	}
	line, err := l.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		err = nil
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), err
}
