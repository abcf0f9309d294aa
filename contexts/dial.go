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

// DialContext opens a connection from the context's host, as net.Dialer does there. Names
// are resolved there as well, by all sources of that system (nsswitch.conf). It has the
// signature that http.Transport.DialContext and most database drivers take.
//
// Networks of connections are "tcp", "tcp4", "tcp6" and "unix". Their connections also have
// CloseWrite() error and SetLinger(int) error; after SetLinger(0), Close resets the
// connection. An end, a half-close and a reset are passed on as such, in both directions.
//
// Networks of datagrams are "udp", "udp4", "udp6" and "unixgram". Each Write sends one
// datagram of at most 65507 bytes, and each Read receives one. If a write deadline comes
// when a part of a datagram is under way, the connection ends.
//
// LocalAddr and RemoteAddr are the addresses at the context's host. ctx bounds the dialling
// and not the connection: that ends with Close, with its peer, or with the context.
//
// A failure at that host is a *net.OpError in an *Error. The errno (such as
// syscall.ECONNREFUSED), a *net.DNSError and Timeout() are the same as there.
func (n *Node) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return dialThrough(ctx, n, network, addr)
}

// DialContext is [Node.DialContext] for a managed host, which it connects if need be.
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

// dialConn connects its caller to an address. When it is connected, it sends the addresses
// of both ends first. A failure is the error of the stream.
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

// openForwarded calls a function that opens a connection or a socket at n's host. It waits
// for the addresses, which come first on the stream.
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

// netError wraps a failure at the host of a context as package net does, and a failure on
// the way to that host as this package does.
func netError(op string, n *Node, network, addr string, err error) error {
	if e, ok := err.(*core.Error); ok {
		return &Error{Op: op + " " + network + " " + addr, Path: n.String(), Err: e}
	}
	return &Error{Path: n.String(), Err: &net.OpError{Op: op, Net: network, Addr: forward.FarAddr{Net: network, Addr: addr}, Err: err}}
}

// reasonWithoutCall takes off the words of a call of ours. The operation for which it was
// made has its own.
func reasonWithoutCall(err error) error {
	if e, ok := err.(*Error); ok && e.Err != nil {
		return e.Err
	}
	return err
}

// Relay copies both ways between two connections until both sides have ended, and closes
// both. To forward a port, make one of the two by [Node.DialContext] or by a listener of
// [Node.Listen].
//
// The half-close of one side is passed on if the other has CloseWrite() error. The failure
// of one side resets the other if that has SetLinger(int) error. Relay returns the first
// failure. To end it early, close either connection.
func Relay(a, b net.Conn) error { return forward.Both(a, b) }
