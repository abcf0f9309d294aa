package forward

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/router"
)

// lingerTime bounds how long one side may take no byte when the other has closed and bytes
// have still to be delivered.
const lingerTime = time.Minute

// Relay copies between a stream and a connection of this host until both sides have ended,
// or either has closed. It closes c.
//
// An end of data and a reset are passed on as such. A close works as that of a socket: bytes
// that were written before are delivered, and bytes that the peer sends later are not.
func Relay(ctx context.Context, s *router.Stream, c net.Conn) error {
	if Datagrams(c.LocalAddr().Network()) {
		return relayPackets(ctx, s, c)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() {
		s.Reset(context.Cause(ctx)) // first, because it is the reason of the abort
		Abort(c)
	})
	defer stop()
	var up sync.WaitGroup
	up.Go(func() { relayUp(s, c) })
	finished := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-s.Done():
			_ = c.SetReadDeadline(time.Now())
			_ = c.SetWriteDeadline(time.Now().Add(lingerTime))
		case <-finished:
		}
	})

	to := &lingering{s: s, c: c}
	_, err := io.Copy(to, s)
	switch {
	case to.err != nil:
		// The peer takes nothing more. Bytes that it sent before are delivered, and then the
		// reason, unless the other end only writes and never reads.
		_ = s.SetWriteDeadline(time.Now().Add(lingerTime))
		var drain sync.WaitGroup
		drain.Go(func() { _, _ = io.Copy(io.Discard, s) })
		up.Wait()
		s.Reset(to.err)
		drain.Wait()
	case err != nil:
		Abort(c)
	default:
		if w, ok := c.(closeWriter); ok {
			_ = w.CloseWrite()
		}
	}
	up.Wait()
	close(finished)
	watch.Wait()
	return nil
}

// relayUp copies from the peer on the host to the stream. It ends with either.
func relayUp(s *router.Stream, c net.Conn) {
	_, err := io.Copy(s, c)
	if err == nil {
		err = s.CloseWrite()
	}
	if err != nil && !isDone(s) {
		s.Reset(err)
	}
}

// closeWriter is a connection that can be half-closed.
type closeWriter interface{ CloseWrite() error }

// Abort closes a connection so that its peer sees a failure, if it can.
func Abort(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.Close()
}

func isDone(s *router.Stream) bool {
	select {
	case <-s.Done():
		return true
	default:
		return false
	}
}

// lingering writes to the connection. It keeps the error, to tell it from one of the stream.
type lingering struct {
	s   *router.Stream
	c   net.Conn
	err error
}

func (l *lingering) Write(b []byte) (int, error) {
	if isDone(l.s) {
		_ = l.c.SetWriteDeadline(time.Now().Add(lingerTime))
	}
	n, err := l.c.Write(b)
	l.err = err
	return n, err
}

// Both copies both ways between two connections until both sides have ended, and closes
// both: see Relay of package contexts.
func Both(a, b net.Conn) error {
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	half := func(dst, src net.Conn) {
		_, err := io.Copy(dst, src)
		if w, ok := dst.(closeWriter); ok && err == nil {
			err = w.CloseWrite()
		}
		if err != nil {
			once.Do(func() {
				first = err
				Abort(a)
				Abort(b)
			})
		}
	}
	wg.Go(func() { half(a, b) })
	wg.Go(func() { half(b, a) })
	wg.Wait()
	_ = a.Close()
	_ = b.Close()
	return first
}
