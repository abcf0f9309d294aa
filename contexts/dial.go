package contexts

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/forward"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/internal/resolve"
	"github.com/mitosis-go/mitosis/router"
)

// DialContext opens a connection from the context's host, as net.Dialer would
// there: names are resolved there, too, also those that only the system's other
// sources know (nsswitch.conf). It has the shape that
// http.Transport.DialContext and most database drivers take.
//
// Networks are "tcp", "tcp4", "tcp6" and "unix", whose connections also have
// CloseWrite() error and SetLinger(0) (after which Close resets); and "udp",
// "udp4", "udp6" and "unixgram", where every Write is one datagram of at most
// 65507 bytes and every Read gets one. LocalAddr and RemoteAddr are those at
// the context's host. Deadlines hold here. An end, a half-close and a reset
// are passed on as what they are, in both directions.
// A datagram of which a part has gone when its write deadline comes ends the
// connection.
//
// ctx bounds the dialling and not the connection, which ends with Close, with
// the host's peer, or with the context. A failure at that host is a
// *net.OpError in an *Error: the errno (syscall.ECONNREFUSED), a *net.DNSError
// and Timeout() have survived the hops.
func (n *Node) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return dialThrough(ctx, n, network, addr)
}

// DialContext is [Node.DialContext] for a managed host, which is connected where it is not.
func (h *ManagedHost) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	n, err := h.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return dialThrough(ctx, n, network, addr)
}

// dialRequest asks for a connection from the context's host.
type dialRequest struct {
	Network string
	Addr    string
	Timeout time.Duration
}

// dialConn connects its caller to an address. The addresses of the connection
// come first, when it is there; a failure is the stream's error.
var dialConn = NewConnFunc("mitosis.dial", func(ctx context.Context, conn net.Conn, q dialRequest) error {
	s := conn.(*router.Stream)
	dialing, stop := untilDone(ctx, s)
	d := net.Dialer{Timeout: q.Timeout}
	far, err := resolve.Dialer(d.DialContext)(dialing, q.Network, q.Addr)
	stop()
	if err != nil {
		return forward.Failure(err)
	}
	defer far.Close()
	if err := forward.WriteEnds(s, far.LocalAddr(), far.RemoteAddr()); err != nil {
		return err
	}
	return forward.Relay(ctx, s, far)
})

// untilDone returns a context that also ends when nobody is left at the other
// end of a stream. The goroutine that watches the stream ends with cancel, which waits
// for it.
func untilDone(ctx context.Context, s *router.Stream) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-s.Done():
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel()
		watch.Wait()
	}
}

// dialThrough is Node.DialContext.
func dialThrough(ctx context.Context, n *Node, network, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) { return nil, netError("dial", n, network, addr, err) }
	if !forward.Forwardable(network) {
		return fail(net.UnknownNetworkError(network))
	}
	q := dialRequest{Network: network, Addr: addr}
	if deadline, ok := ctx.Deadline(); ok {
		q.Timeout = max(time.Until(deadline), 1)
	}
	s, local, remote, err := openForwarded(ctx, dialConn.e, dialConn.nodes, n, &q)
	if err != nil {
		return fail(err)
	}
	return forward.NewConn(s, network, local, remote), nil
}

// openForwarded calls a function that opens something at n's host for its caller,
// and waits for the addresses, which come first on the stream.
func openForwarded(ctx context.Context, e *entry, nodes visitor, n *Node, in any) (_ *router.Stream, local, remote net.Addr, _ error) {
	s, err := openStream(ctx, e, nodes, n, in)
	if err != nil {
		return nil, nil, nil, reasonWithoutCall(err)
	}
	stop := context.AfterFunc(ctx, func() { s.Reset(context.Cause(ctx)) })
	local, remote, err = forward.ReadEnds(s)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.Close()
		return nil, nil, nil, err
	}
	return s, local, remote, nil
}

// netError tells what went wrong at the host of a context in the way of
// package net, and what went wrong on the way to it in the way of this one.
func netError(op string, n *Node, network, addr string, err error) error {
	if e, ok := err.(*core.Error); ok {
		return &Error{Op: op + " " + network + " " + addr, Path: n.String(), Err: e}
	}
	return &Error{Path: n.String(), Err: &net.OpError{Op: op, Net: network, Addr: forward.FarAddr{Net: network, Addr: addr}, Err: err}}
}

// reasonWithoutCall takes off the words of a call, where the operation that it
// was made for has its own.
func reasonWithoutCall(err error) error {
	if e, ok := err.(*Error); ok && e.Err != nil {
		return e.Err
	}
	return err
}

// Relay copies both ways between two connections until both sides have said all
// they had to say, and closes both. It is what forwarding is made of: one of
// the two is usually of [Node.DialContext] or of a listener of [Node.Listen].
//
// A half-close is passed on as one where the connection has CloseWrite() error,
// and a failure of either side as a reset of the other where that has
// SetLinger(int) error. The error is the first that a side failed with. To end
// it from elsewhere close either connection.
func Relay(a, b net.Conn) error { return forward.Join(a, b) }
