package contexts

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/forward"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// Listen opens a port, or a socket in the file system, at the context's host
// and accepts its connections here. Networks are "tcp", "tcp4", "tcp6" and
// "unix". Addr of the listener is the address that was bound, with the port
// that ":0" became. The name localhost means both 127.0.0.1 and ::1, and a socket
// has mode 0600: [ListenConfig] says it in full, and can change it.
//
// ctx bounds the opening and not the listener. That ends with Close, with the
// context, and with this process; what has not been accepted by then is
// reset, what has been lives on. Up to 128 connections wait to be accepted,
// more wait in the host's own backlog. The socket in the file system is removed
// with the listener, unless the context is killed where it stands.
//
// Connections are as those of [Node.DialContext]. An ancestor may listen at its
// descendants; the reverse takes a function that does it for them. For datagrams
// see [Node.ListenPacket].
func (n *Node) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return new(ListenConfig).ListenAt(ctx, n, network, addr)
}

// Listen is [Node.Listen] for a managed host, which is connected where it is not. The
// listener ends with that connection: it does not come back with the host.
func (h *ManagedHost) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return new(ListenConfig).ListenAt(ctx, h, network, addr)
}

// ListenAt is [Node.Listen] in the way of this configuration.
func (c *ListenConfig) ListenAt(ctx context.Context, on Target, network, addr string) (net.Listener, error) {
	n, err := NodeOf(ctx, on)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (net.Listener, error) { return nil, netError("listen", n, network, addr, err) }
	if !forward.Forwardable(network) || forward.Datagrams(network) {
		return fail(net.UnknownNetworkError(network))
	}
	if n.self == nil {
		return fail(&core.Error{Kind: core.KindNoRoute})
	}
	life, cancel := context.WithCancelCause(n.self.Ctx)
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	next, end := iter.Pull2(listenSeq.Call(life, n, listenRequest{Network: network, Addr: addr, SocketMode: c.SocketMode, Unlink: c.Unlink}))
	first, err, _ := next()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		end()
		cancel(nil)
		return fail(reasonWithoutCall(err))
	}
	if c.Skipped != nil {
		for _, s := range first.Skipped {
			c.Skipped(s.Addr, netError("listen", n, network, s.Addr, errors.New(s.Reason)))
		}
	}
	ln := &listener{
		n: n, network: network, addr: first.Local.Net(), id: first.Conn, cancel: cancel,
		announced: make(chan announced, forward.Backlog), done: make(chan struct{}),
	}
	ln.wg.Go(func() {
		defer end()
		ln.follow(next)
	})
	return ln, nil
}

type listenRequest struct {
	Network, Addr string
	SocketMode    fs.FileMode
	Unlink        bool
}

// announced tells of a connection that came in, and the first of the listener
// itself.
type announced struct {
	_             struct{} `cbor:",toarray"`
	Conn          uint64   // its number; in the first, that of the listener
	Local, Remote forward.Addr
	Skipped       []skippedAddr // only in the first
}

// skippedAddr is an address that could not be listened on, where others could.
type skippedAddr struct {
	_            struct{} `cbor:",toarray"`
	Addr, Reason string
}

// listener is the near end.
type listener struct {
	// Immutable.
	n       *Node
	network string
	addr    net.Addr
	id      uint64
	cancel  context.CancelCauseFunc
	wg      sync.WaitGroup

	// What waits to be accepted: sent by follow, which closes it; Accept
	// receives. The far end announces no more than there is room for.
	announced chan announced

	done      chan struct{} // closed by Close
	closeOnce sync.Once
	claimed   atomic.Uint64 // the last connection that was taken out of announced
	err       error         // why there is nothing more; set before announced is closed
}

// follow takes the announcements until the far end has no more.
func (ln *listener) follow(next func() (announced, error, bool)) {
	defer close(ln.announced)
	for {
		a, err, ok := next()
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
func (ln *listener) Accept() (net.Conn, error) {
	select {
	case <-ln.done:
		return nil, ln.closed("accept")
	default:
	}
	var a announced
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
		s, err = openStream(ln.n.self.Ctx, acceptConn.e, acceptConn.nodes, ln.n, &acceptRequest{Listener: ln.id, Conn: a.Conn})
		if err == nil {
			return forward.NewConn(s, ln.network, a.Local.Net(), a.Remote.Net()), nil
		}
	}
	if !ok {
		err = ln.err // set before announced was closed
	}
	if err == nil {
		err = net.ErrClosed
	}
	return nil, netError("accept", ln.n, ln.network, ln.addr.String(), reasonWithoutCall(err))
}

func (ln *listener) closed(op string) error {
	return &net.OpError{Op: op, Net: ln.network, Addr: ln.addr, Err: net.ErrClosed}
}

// Addr implements net.Listener: the address at the context's host.
func (ln *listener) Addr() net.Addr { return ln.addr }

// Close implements net.Listener. When it returns the port is closed, or its
// host has not answered for a few seconds: a context that cannot be reached
// any more closes it by itself.
func (ln *listener) Close() error {
	err := ln.closed("close")
	ln.closeOnce.Do(func() {
		close(ln.done)
		ctx, cancel := context.WithTimeout(ln.n.self.Ctx, unlistenTimeout)
		defer cancel()
		_, _ = unlistenFunc.Call(ctx, ln.n, unlistenRequest{Listener: ln.id, Claimed: ln.claimed.Load()})
		ln.cancel(net.ErrClosed)
		ln.wg.Wait()
		err = nil
	})
	return err
}

// unlistenTimeout bounds the Close of a listener.
const unlistenTimeout = 3 * time.Second

// listenSeq listens. What it yields is the listener and then its connections.
var listenSeq = NewSeqFunc("mitosis.listen", func(ctx context.Context, q listenRequest) iter.Seq2[announced, error] {
	return func(yield func(announced, error) bool) {
		call := callOf(ctx)
		var skipped []skippedAddr
		cfg := ListenConfig{SocketMode: q.SocketMode, Unlink: q.Unlink, Skipped: func(addr string, err error) {
			skipped = append(skipped, skippedAddr{Addr: addr, Reason: forward.Failure(err).Error()})
		}}
		ln, err := cfg.Listen(ctx, q.Network, q.Addr)
		if err != nil {
			yield(announced{}, forward.Failure(err))
			return
		}
		// Close also removes the socket of a unix listener, which must be
		// done before the process ends.
		forget := call.l.leftovers.Add(func() { ln.Close() })
		defer forget()
		defer ln.Close()
		stop := context.AfterFunc(ctx, func() { ln.Close() })
		defer stop()
		held := call.l.listeners.Add(call.m.Src, ln)
		defer held.Remove()
		if !yield(announced{Conn: held.ID(), Local: forward.Wire(ln.Addr()), Skipped: skipped}, nil) {
			return
		}
		for {
			id, c, err := held.Next(ctx)
			if err != nil {
				if ctx.Err() != nil {
					err = context.Cause(ctx) // why it is closed
				}
				yield(announced{}, forward.Failure(err))
				return
			}
			if !yield(announced{Conn: id, Local: forward.Wire(c.LocalAddr()), Remote: forward.Wire(c.RemoteAddr())}, nil) {
				return
			}
		}
	}
})

// unlistenRequest closes a listener, all of whose connections up to Claimed
// have been accepted.
type unlistenRequest struct{ Listener, Claimed uint64 }

var unlistenFunc = NewFunc("mitosis.unlisten", func(ctx context.Context, q unlistenRequest) (struct{}, error) {
	call := callOf(ctx)
	return struct{}{}, call.l.listeners.End(call.m.Src, q.Listener, q.Claimed)
})

// acceptRequest claims a connection.
type acceptRequest struct{ Listener, Conn uint64 }

var acceptConn = NewConnFunc("mitosis.accept", func(ctx context.Context, conn net.Conn, q acceptRequest) error {
	call := callOf(ctx)
	c, err := call.l.listeners.Claim(call.m.Src, q.Listener, q.Conn)
	if err != nil {
		return err
	}
	return forward.Relay(ctx, conn.(*router.Stream), c)
})

// A connection for which no stream can be opened is given up: it must not keep
// its place in the backlog.
func init() {
	serve := acceptConn.e.serve
	acceptConn.e.serve = func(c *incoming) {
		serve(c)
		if c.failed == nil {
			return
		}
		var q acceptRequest
		if err := c.decodeArg(&q, nil); err == nil {
			if conn, err := c.l.listeners.Claim(c.m.Src, q.Listener, q.Conn); err == nil {
				forward.Abort(conn)
			}
		}
	}
}
