package forward

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/router"
)

// lingerTime is how long one side may take no byte of what is still to be
// delivered to it when the other has closed.
const lingerTime = time.Minute

// Relay copies between a stream and a connection of this host until both sides
// have said all they had to say, or either has closed. It closes c.
//
// What TCP tells its peers is told through the hops: end of data by the end
// of data, a reset by a reset. Closing is like that of a socket: what was
// written before is delivered, what the peer says from then on is not wanted.
func Relay(ctx context.Context, s *router.Stream, c net.Conn) error {
	if Datagrams(c.LocalAddr().Network()) {
		return relayPackets(ctx, s, c)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() {
		s.Reset(context.Cause(ctx)) // first: it is the reason of what follows
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
		// The peer takes nothing more. What it said before is delivered, and
		// then the reason, unless the other end only writes and never reads.
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

// relayUp copies what the peer on the host says. It ends when that has nothing
// more to say, or nobody wants it.
func relayUp(s *router.Stream, c net.Conn) {
	_, err := io.Copy(s, c)
	if err == nil {
		err = s.CloseWrite()
	}
	if err != nil && !isDone(s) {
		s.Reset(err)
	}
}

// closeWriter is a connection that can say "no more" and still listen.
type closeWriter interface{ CloseWrite() error }

// Abort closes a connection in the way that its peer sees as a failure.
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

// lingering writes to the connection, and keeps the error so that it can be
// told from one of the stream.
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

// Join copies both ways between two connections until both sides have said all
// they had to say, and closes both: see Join of package contexts.
func Join(a, b net.Conn) error {
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
