package contexts

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/mitosis-go/mitosis/contexts/internal/forward"
	"github.com/mitosis-go/mitosis/router"
)

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
	s, local, _, err := openForwarded(ctx, packetConn.e, packetConn.nodes, n, &listenRequest{Network: network, Addr: addr})
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
var packetConn = NewConnFunc("mitosis.listenpacket", func(ctx context.Context, conn net.Conn, q listenRequest) error {
	c, err := listenDatagrams(ctx, q.Network, q.Addr)
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
