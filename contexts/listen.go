package contexts

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/forward"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// ListenConfig says how a port or a socket is listened on. [Node.Listen] uses the zero
// value.
type ListenConfig struct {
	// SocketMode has the permissions of a socket in the file system, whatever the umask is.
	// Users that may write to the socket may connect. 0 means 0600. For a socket without any
	// permissions use fs.ModeSocket.
	SocketMode fs.FileMode
	// Unlink removes a socket that exists already, even if a process listens on it. A file of
	// another type is not removed.
	Unlink bool
	// Skipped, if not nil, is called for each address that can't be listened on if the name
	// has another address that can.
	Skipped func(addr string, err error)
}

// Listen listens in this process as net.Listen does, with two differences. The name
// localhost means both 127.0.0.1 and ::1, with one port; one of them is enough. A socket in
// the file system has the permissions of SocketMode before anyone can connect. Close
// removes that socket, but not another one that has taken its place.
func (c *ListenConfig) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return (*forward.SocketConfig)(c).Listen(ctx, network, addr)
}

// Listen opens a port, or a socket in the file system, at the context's host. Its
// connections are accepted here, and are like those of [Node.DialContext]. Networks are
// "tcp", "tcp4", "tcp6" and "unix". Addr of the listener is the address that was bound,
// with the port that was chosen for ":0". The name localhost means both 127.0.0.1 and ::1,
// and a socket has mode 0600: see [ListenConfig], which can change that.
//
// ctx bounds the opening and not the listener. The listener ends with Close, with the
// context, and with this process. Then connections that have not been accepted are reset;
// those that have been accepted live on. Up to 128 connections wait to be accepted. More
// wait in the backlog of the host. A socket in the file system is removed with the
// listener, unless the context is killed.
//
// A context may listen at its descendants. To listen at an ancestor, call a function that
// does so there. For datagrams see [Node.ListenPacket].
func (n *Node) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return new(ListenConfig).ListenAt(ctx, n, network, addr)
}

// Listen is [Node.Listen] for a managed host, which it connects if need be. The listener
// ends when the host is lost. It does not come back with the host.
func (h *ManagedHost) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return new(ListenConfig).ListenAt(ctx, h, network, addr)
}

// ListenAt is [Node.Listen] with this configuration.
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
	next, end := iter.Pull2(listenSeq.Call(life, n, forward.ListenRequest{Network: network, Addr: addr, SocketMode: c.SocketMode, Unlink: c.Unlink}))
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
	bound := first.Local.Net()
	return forward.NewRemoteListener(forward.Far{
		Network: network, Addr: bound, Next: next, End: func() { cancel(net.ErrClosed) },
		Claim: func(conn uint64) (*router.Stream, error) {
			return openStream(n.self.Ctx, acceptConn.e, acceptConn.nodes, n, &forward.ClaimRequest{Listener: first.Conn, Conn: conn})
		},
		Unlisten: func(claimed uint64) {
			ctx, cancel := context.WithTimeout(n.self.Ctx, unlistenTimeout)
			defer cancel()
			_, _ = unlistenFunc.Call(ctx, n, forward.UnlistenRequest{Listener: first.Conn, Claimed: claimed})
		},
		Wrap: func(err error) error { return netError("accept", n, network, bound.String(), reasonWithoutCall(err)) },
	}, end), nil
}

// unlistenTimeout bounds the Close of a listener.
const unlistenTimeout = 3 * time.Second

// listenSeq listens. It yields the listener and then its connections.
var listenSeq = NewSeqFunc("mitosis.listen", func(ctx context.Context, q forward.ListenRequest) iter.Seq2[forward.Announced, error] {
	return func(yield func(forward.Announced, error) bool) {
		c := callOf(ctx)
		var skipped []forward.SkippedAddr
		cfg := ListenConfig{SocketMode: q.SocketMode, Unlink: q.Unlink, Skipped: func(addr string, err error) {
			skipped = append(skipped, forward.SkippedAddr{Addr: addr, Reason: forward.Failure(err).Error()})
		}}
		ln, err := cfg.Listen(ctx, q.Network, q.Addr)
		if err != nil {
			yield(forward.Announced{}, forward.Failure(err))
			return
		}
		// Close also removes the socket of a unix listener, which must be
		// done before the process ends.
		forget := c.l.leftovers.Add(func() { ln.Close() })
		defer forget()
		c.l.listeners.Serve(ctx, c.m.Src, ln, skipped, yield)
	}
})

var unlistenFunc = NewFunc("mitosis.unlisten", func(ctx context.Context, q forward.UnlistenRequest) (struct{}, error) {
	c := callOf(ctx)
	return struct{}{}, c.l.listeners.CloseListener(c.m.Src, q.Listener, q.Claimed)
})

// acceptConn claims a connection.
var acceptConn = DeclareConn[forward.ClaimRequest]("mitosis.accept")

func init() {
	acceptConn.e.define(func(c *incoming) {
		var q forward.ClaimRequest
		claim := func() (net.Conn, error) { return c.l.listeners.Claim(c.m.Src, q.Listener, q.Conn) }
		c.serveConn(&q, acceptConn.nodes, func(s *router.Stream) error {
			conn, err := claim()
			if err != nil {
				return err
			}
			return forward.Relay(c.ctx, s, conn)
		})
		if c.failed == nil {
			return
		}
		// A connection for which no stream could be opened is given up: it must not keep
		// its place in the backlog.
		if conn, err := claim(); err == nil {
			forward.Abort(conn)
		}
	})
}

// ListenPacket opens a socket for datagrams at the context's host. Networks are "udp",
// "udp4", "udp6" and "unixgram", whose sockets have mode 0600. LocalAddr is the address
// that was bound.
//
// ReadFrom returns one datagram with the address of its sender. WriteTo sends one of at most
// 65507 bytes, to an address that ReadFrom returned, or to a *net.UDPAddr or *net.UnixAddr
// of that host. Datagrams that can't be delivered, or arrive faster than they are read, are
// lost without an error.
//
// ctx bounds the opening and not the socket. The socket ends with Close, with the context
// and with this process.
func (n *Node) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	fail := func(err error) (net.PacketConn, error) { return nil, netError("listen", n, network, addr, err) }
	if !forward.Datagrams(network) {
		return fail(net.UnknownNetworkError(network))
	}
	s, local, _, err := openForwarded(ctx, packetConn.e, packetConn.nodes, n, &forward.ListenRequest{Network: network, Addr: addr})
	if err != nil {
		return fail(err)
	}
	return forward.NewPacketConn(s, local), nil
}

// ListenPacket is [Node.ListenPacket] for a managed host, which it connects if need be. The
// socket ends when the host is lost.
func (h *ManagedHost) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	n, err := h.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return n.ListenPacket(ctx, network, addr)
}

// packetConn opens a socket and passes its datagrams on. It sends the address that was
// bound first.
var packetConn = NewConnFunc("mitosis.listenpacket", func(ctx context.Context, conn net.Conn, q forward.ListenRequest) error {
	c, err := forward.ListenDatagrams(ctx, q.Network, q.Addr)
	if err != nil {
		return forward.Failure(err)
	}
	end := sync.OnceFunc(func() {
		c.Close()
		if name := q.Addr; q.Network == "unixgram" && !strings.HasPrefix(name, "@") {
			_ = os.Remove(name)
		}
	})
	// Before the process ends, or its socket would stay in the file system.
	forget := callOf(ctx).l.leftovers.Add(end)
	defer forget()
	defer end()
	return forward.RelayPacketConn(ctx, conn.(*router.Stream), c)
})
