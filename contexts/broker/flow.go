//go:build linux || darwin || freebsd

package broker

import (
	"fmt"
	"io"
	"sync"

	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// inflow is a stream from the client. The goroutine that reads the connection puts bytes in and
// never waits: what has not been read is bounded by the credit of the client. All methods are
// defined for nil.
type inflow struct {
	// Immutable.
	name  string
	grant func(stream string, n int64) error // lets the client send more

	mu     sync.Mutex
	wake   sync.Cond
	chunks [][]byte // guarded by mu: not read yet
	credit int64    // guarded by mu: bytes that the client may send
	owed   int64    // guarded by mu: bytes that were read, and for which it has no credit yet
	err    error    // guarded by mu: of a Read once all is read; io.EOF: the client has ended it
}

// leastChunk is the room for frames with few bytes, which would take more memory than these otherwise.
const leastChunk = 4 << 10

func newInflow(name string, grant func(string, int64) error) *inflow {
	f := &inflow{name: name, grant: grant, credit: wire.InputCredit}
	f.wake.L = &f.mu
	return f
}

// put takes bytes of the client. Its error is one of the protocol.
func (f *inflow) put(stream string, b []byte, end bool) error {
	if f == nil || stream != f.name {
		return fmt.Errorf("%w: the request has no input %q", wire.ErrProtocol, stream)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.credit -= int64(len(b)); f.credit < 0 {
		return fmt.Errorf("%w: the input is %d bytes above the credit", wire.ErrProtocol, -f.credit)
	}
	if f.err != nil {
		return nil // nobody reads any more
	}
	if n := len(f.chunks); n > 0 && cap(f.chunks[n-1])-len(f.chunks[n-1]) >= len(b) {
		f.chunks[n-1] = append(f.chunks[n-1], b...)
	} else if len(b) > 0 {
		f.chunks = append(f.chunks, append(make([]byte, 0, max(len(b), leastChunk)), b...))
	}
	if end {
		f.err = io.EOF
	}
	f.wake.Signal()
	return nil
}

// Read implements io.Reader.
func (f *inflow) Read(b []byte) (int, error) {
	f.mu.Lock()
	for len(f.chunks) == 0 && f.err == nil {
		f.wake.Wait()
	}
	if len(f.chunks) == 0 {
		defer f.mu.Unlock()
		return 0, f.err
	}
	n := copy(b, f.chunks[0])
	if f.chunks[0] = f.chunks[0][n:]; len(f.chunks[0]) == 0 {
		f.chunks = f.chunks[1:]
	}
	f.owed += int64(n)
	more := int64(0)
	if f.err == nil && f.owed >= wire.InputCredit/4 {
		more, f.owed = f.owed, 0
		f.credit += more
	}
	f.mu.Unlock()
	if more > 0 {
		if err := f.grant(f.name, more); err != nil {
			return n, err
		}
	}
	return n, nil
}

// close has further reads fail, unless the client has ended the stream.
func (f *inflow) close(err error) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err, f.chunks = err, nil
	}
	f.wake.Broadcast()
}

// outflow has the credit of the streams to the client. All methods are defined for nil, which has
// credit without bounds.
type outflow struct {
	window int64 // of each stream at the beginning; immutable

	mu     sync.Mutex
	wake   sync.Cond
	credit map[string]int64 // guarded by mu; a stream that is not there has window
	err    error            // guarded by mu
}

func newOutflow(window int64) *outflow {
	o := &outflow{window: window, credit: make(map[string]int64)}
	o.wake.L = &o.mu
	return o
}

// maxCredit bounds the credit of a stream.
const maxCredit = 1 << 40

// add adds to the credit of a stream. Its error is one of the protocol.
func (o *outflow) add(stream string, n int64) error {
	if o == nil || stream != "stdout" && stream != "stderr" && stream != "data" {
		return fmt.Errorf("%w: credit for a stream %q that needs none", wire.ErrProtocol, stream)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.credit[stream] = min(o.nowLocked(stream), maxCredit) + min(n, maxCredit)
	o.wake.Broadcast()
	return nil
}

func (o *outflow) nowLocked(stream string) int64 {
	if n, ok := o.credit[stream]; ok {
		return n
	}
	return o.window
}

// take waits for credit, and takes at most so many bytes of it.
func (o *outflow) take(stream string, most int) (int, error) {
	if o == nil {
		return most, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		if o.err != nil {
			return 0, o.err
		}
		if now := o.nowLocked(stream); now > 0 {
			n := min(now, int64(most))
			o.credit[stream] = now - n
			return int(n), nil
		}
		o.wake.Wait()
	}
}

// close ends all waiting.
func (o *outflow) close(err error) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
	o.wake.Broadcast()
}

// stream writes to a stream of the client.
type stream struct {
	q     *request
	name  string
	begun <-chan struct{} // closed when the client knows that the stream begins; nil: it does
}

// Write implements io.Writer.
func (s *stream) Write(b []byte) (written int, err error) {
	if s.begun != nil {
		select {
		case <-s.begun:
		case <-s.q.ctx.Done(): // it did not start, perhaps
			if !isClosed(s.begun) {
				return 0, s.q.why()
			}
		}
	}
	for len(b) > 0 {
		n, err := s.q.output.take(s.name, min(len(b), wire.MaxData))
		if err != nil {
			return written, err
		}
		if err := s.q.send(wire.Frame{Header: &wire.BrokerFrame{Stream: s.name}, Body: b[:n]}); err != nil {
			return written, err
		}
		b, written = b[n:], written+n
	}
	return written, nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// end returns the frame that ends the stream.
func (s *stream) end() wire.Frame {
	return wire.Frame{Header: &wire.BrokerFrame{Stream: s.name, End: true}}
}
