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

// ListenConfig says how a port or a socket is listened on. The zero value is how
// [Node.Listen] does it.
type ListenConfig struct {
	// SocketMode has the permissions of a socket in the file system, whatever the
	// umask is; who may write to it may connect. 0 stands for 0600. Permissions
	// of none at all are fs.ModeSocket.
	SocketMode fs.FileMode
	// Unlink removes a socket that is there already, whether somebody listens on
	// it or not. Anything else in its place is left alone.
	Unlink bool
	// Skipped, if not nil, is told of each address that could not be listened on,
	// where the name has another one that could.
	Skipped func(addr string, err error)
}

// Listen is net.Listen for this process, with two differences. The name localhost
// means 127.0.0.1 and ::1, with one port; one of them is enough. And a socket in the
// file system has the permissions of SocketMode from the moment on when it can be
// connected to; Close removes that socket and not another one that has
// taken its place.
func (c *ListenConfig) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return (*forward.SocketConfig)(c).Listen(ctx, network, addr)
}

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

// ListenPacket opens a socket for datagrams at the context's host: networks are
// "udp", "udp4", "udp6" and "unixgram", whose sockets have mode 0600. LocalAddr is the address that was bound.
// ReadFrom returns one datagram and who sent it; WriteTo sends one of at most
// 65507 bytes, to an address as ReadFrom returned it or to a *net.UDPAddr or
// *net.UnixAddr as that host understands it. As with all datagrams, what can't be
// delivered is lost without a word, and so is what arrives faster than it is
// read.
//
// ctx bounds the opening and not the socket, which ends with Close, with the
// context and with this process.
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

// ListenPacket is [Node.ListenPacket] for a managed host, which is connected where it is
// not. The socket ends with that connection.
func (h *ManagedHost) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	n, err := h.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return n.ListenPacket(ctx, network, addr)
}

// packetConn opens a socket and passes its datagrams on. The address that was
// bound comes first.
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
