package router

import (
	"io"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// Read implements net.Conn. After all bytes it returns io.EOF if the other side has ended in
// order; the error of a Reset there; or an error that matches core.ErrGone if that side is
// lost.
func (s *Stream) Read(b []byte) (int, error) {
	for {
		expired := s.readDeadline.wait()
		if isClosed(expired) {
			return 0, timeout("read")
		}
		n, done, err := s.read(b)
		if done {
			return n, err
		}
		select {
		case <-s.readable:
		case <-expired:
		case <-s.gone:
		}
	}
}

// read reads without waiting. done is false if there are no bytes and no end.
func (s *Stream) read(b []byte) (n int, done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, true, s.readErr
	}
	if len(b) == 0 {
		return 0, true, nil
	}
	for n < len(b) && len(s.chunks) > 0 {
		c := &s.chunks[0]
		m := copy(b[n:], c.data)
		n += m
		c.data = c.data[m:]
		if len(c.data) > 0 {
			break
		}
		if c.frame != nil {
			c.frame.Release()
		}
		*c = chunk{}
		if s.chunks = s.chunks[1:]; len(s.chunks) == 0 {
			s.chunks = nil
		}
	}
	if len(s.chunks) > 0 || s.readErr != nil {
		s.signal() // for another Read that waits
	}
	if n == 0 {
		return 0, s.readErr != nil, s.readErr
	}
	s.consumedLocked(n)
	return n, true, nil
}

// consumedLocked grants anew the bytes that have been read.
func (s *Stream) consumedLocked(n int) {
	if s.readErr == nil && s.in.consume(uint64(n), time.Now(), s.growLocked) && s.peer != 0 {
		s.creditLocked()
	}
}

// Parts of the receive budget that are kept for others. Nobody knows whether a new stream will
// be read, so its first window is small once half of the budget is gone. Windows that grow
// leave a quarter for new streams.
const (
	keptForReaders = 2
	keptForNew     = 4
)

// share returns a part of the receive budget, in bytes.
func (r *Router) share(part int) uint64 { return uint64(r.limits.ReceiveBudget / part) }

func (s *Stream) growLocked(n uint64) uint64 {
	got := s.r.receiveBudget.takeAbove(n, s.r.share(keptForNew))
	s.reserved += got
	return got
}

// Write implements net.Conn. It returns when all of b is queued to be sent, for which it may
// have to wait for credit from the other side.
func (s *Stream) Write(b []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	sent := 0
	for first := true; first || len(b) > 0; first = false {
		n, expired, err := s.mayWrite(min(len(b), core.MaxBody))
		if err != nil {
			return sent, err
		}
		if len(b) == 0 {
			break
		}
		if err := s.writeFrame(newFrame(core.Header{}, b[:n]), expired); err != nil {
			return sent, err
		}
		sent += n
		b = b[n:]
	}
	return sent, nil
}

// mayWrite waits for credit for at least one and at most n bytes, and counts them as sent. With
// n 0 it only checks whether the stream can be written. expired is the channel of the deadline
// of this write.
func (s *Stream) mayWrite(n int) (got int, expired <-chan struct{}, err error) {
	for {
		expired = s.writeDeadline.wait()
		if isClosed(expired) {
			return 0, nil, timeout("write")
		}
		if err := s.writable(); err != nil {
			return 0, nil, err
		}
		if n == 0 {
			return 0, expired, nil
		}
		select {
		case <-s.opened:
			if got := s.out.acquire(n, expired, s.dead); got > 0 {
				return got, expired, nil
			}
		case <-expired:
		case <-s.dead:
		}
	}
}

// writeFrame queues a frame of data that there is credit for.
func (s *Stream) writeFrame(f *core.Frame, expired <-chan struct{}) error {
	s.mu.Lock()
	f.Header = core.Header{Dst: s.dst, Src: s.r.self, Auth: s.r.self, Handle: s.peer, Reply: s.handle}
	s.mu.Unlock()
	n := len(f.Body)
	l, err := s.r.linkTo(s.dst)
	if err != nil {
		f.Release()
		s.out.unacquire(n)
		return err
	}
	if l == nil {
		s.r.loop.put(s.r, f)
		return nil
	}
	res := l.putLocal(f, expired, s.dead)
	if res == taken {
		return nil
	}
	f.Release()
	s.out.unacquire(n)
	if err := s.writable(); err != nil {
		return err
	}
	if res == closedQueue {
		return goneError(l.q.reason())
	}
	return timeout("write")
}

// writable returns why nothing can be written any more.
func (s *Stream) writable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr == nil && s.ended {
		return &core.Error{Op: "write stream", Kind: core.KindClosed, Err: io.ErrClosedPipe}
	}
	return s.writeErr
}

// CloseWrite ends this direction: the other side reads io.EOF after the bytes that were
// written. This side can still read.
func (s *Stream) CloseWrite() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	expired := s.writeDeadline.wait()
	select {
	case <-s.opened:
	case <-expired:
		return timeout("close write")
	case <-s.dead:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr != nil || s.ended {
		return s.writeErr
	}
	s.ended = true
	s.sendFrame(core.End, nil)
	return nil
}
