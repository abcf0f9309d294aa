package forward

import (
	"context"
	"io/fs"
	"net"
	"sync"
	"sync/atomic"

	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// A listener at another context's host is a sequence. It yields the listener itself, and
// then its connections as they come in. They are held there until they are claimed, each by
// a stream of its own.

// ListenRequest has another context listen.
type ListenRequest struct {
	Network, Addr string
	SocketMode    fs.FileMode
	Unlink        bool
}

// Announced tells of a connection that came in, and the first of the listener itself.
type Announced struct {
	_             struct{} `cbor:",toarray"`
	Conn          uint64   // its number; in the first, that of the listener
	Local, Remote Addr
	Skipped       []SkippedAddr // only in the first
}

// SkippedAddr is an address that could not be listened on, where others could.
type SkippedAddr struct {
	_            struct{} `cbor:",toarray"`
	Addr, Reason string
}

// UnlistenRequest closes a listener. Its owner has accepted all connections up to Claimed.
type UnlistenRequest struct{ Listener, Claimed uint64 }

// ClaimRequest claims a connection.
type ClaimRequest struct{ Listener, Conn uint64 }

// Serve is the far end of a listener of the context owner. It announces the connections
// until ctx ends, yield returns false, or ln is closed. It closes ln.
func (t *Listeners) Serve(ctx context.Context, owner core.ID, ln net.Listener, skipped []SkippedAddr, yield func(Announced, error) bool) {
	defer ln.Close()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	held := t.Add(owner, ln)
	defer held.Remove()
	if !yield(Announced{Conn: held.ID(), Local: Wire(ln.Addr()), Skipped: skipped}, nil) {
		return
	}
	for {
		id, c, err := held.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx) // why it is closed
			}
			yield(Announced{}, Failure(err))
			return
		}
		if !yield(Announced{Conn: id, Local: Wire(c.LocalAddr()), Remote: Wire(c.RemoteAddr())}, nil) {
			return
		}
	}
}

// Far is the far end of a listener, as the near end uses it.
type Far struct {
	Network string
	Addr    net.Addr // the address that was bound

	// Next returns the announcements behind the first. End ends them; Next returns then.
	Next func() (Announced, error, bool)
	End  func()
	// Claim opens the stream of a connection.
	Claim func(conn uint64) (*router.Stream, error)
	// Unlisten closes the listener there. All connections up to claimed have been accepted.
	// It returns when the listener is closed, or can't be reached.
	Unlisten func(claimed uint64)
	// Wrap says at which context Accept failed.
	Wrap func(err error) error
}

// remoteListener is the near end of a listener.
//
// Goroutines: follow receives the announcements until there are no more. Close waits for
// it.
type remoteListener struct {
	// Immutable.
	far Far
	wg  sync.WaitGroup

	// Connections that wait to be accepted. follow sends and closes it; Accept receives.
	// The far end announces no more than there is room for.
	announced chan Announced

	done      chan struct{} // closed by Close
	closeOnce sync.Once
	claimed   atomic.Uint64 // the last connection that was taken out of announced
	err       error         // why there are no more; set before announced is closed
}

// NewRemoteListener makes the near end of a listener. release is called when nothing more
// is announced.
func NewRemoteListener(far Far, release func()) net.Listener {
	ln := &remoteListener{far: far, announced: make(chan Announced, Backlog), done: make(chan struct{})}
	ln.wg.Go(func() {
		defer release()
		ln.follow()
	})
	return ln
}

// follow takes the announcements until the far end has no more.
func (ln *remoteListener) follow() {
	defer close(ln.announced)
	for {
		a, err, ok := ln.far.Next()
		if err != nil || !ok {
			ln.err = err
			return
		}
		select {
		case ln.announced <- a:
		default:
			ln.err = core.ErrProtocol
			return
		}
	}
}

// Accept implements net.Listener.
func (ln *remoteListener) Accept() (net.Conn, error) {
	select {
	case <-ln.done:
		return nil, ln.closed("accept")
	default:
	}
	var a Announced
	var ok bool
	select {
	case a, ok = <-ln.announced:
	case <-ln.done:
		return nil, ln.closed("accept")
	}
	var err error
	if ok {
		for last := ln.claimed.Load(); last < a.Conn && !ln.claimed.CompareAndSwap(last, a.Conn); {
			last = ln.claimed.Load()
		}
		// The connection may have ended meanwhile. Its first Read says so.
		var s *router.Stream
		if s, err = ln.far.Claim(a.Conn); err == nil {
			return NewConn(s, ln.far.Network, a.Local.Net(), a.Remote.Net()), nil
		}
	}
	if !ok {
		err = ln.err // set before announced was closed
	}
	if err == nil {
		err = net.ErrClosed
	}
	return nil, ln.far.Wrap(err)
}

func (ln *remoteListener) closed(op string) error {
	return &net.OpError{Op: op, Net: ln.far.Network, Addr: ln.far.Addr, Err: net.ErrClosed}
}

// Addr implements net.Listener: the address at the context's host.
func (ln *remoteListener) Addr() net.Addr { return ln.far.Addr }

// Close implements net.Listener. When it returns the port is closed, or its host has not
// answered for a few seconds: a context that cannot be reached any more closes it by
// itself.
func (ln *remoteListener) Close() error {
	err := ln.closed("close")
	ln.closeOnce.Do(func() {
		close(ln.done)
		ln.far.Unlisten(ln.claimed.Load())
		ln.far.End()
		ln.wg.Wait()
		err = nil
	})
	return err
}
