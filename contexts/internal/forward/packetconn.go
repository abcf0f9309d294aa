package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// packetConn is the near end of a socket for datagrams. On its stream each datagram has its
// address in front, as a packet of its own.
type packetConn struct {
	*router.Stream
	local net.Addr

	reading sync.Mutex // held by the one ReadFrom under way
	from    net.Addr   // of the datagram that comes next; nil: the address comes next
	packets packetReader
}

// NewPacketConn makes a socket for datagrams of a stream at whose other end
// RelayPacketConn is.
func NewPacketConn(s *router.Stream, local net.Addr) net.PacketConn {
	return &packetConn{Stream: s, local: local, packets: newPacketReader(s)}
}

// LocalAddr implements net.PacketConn.
func (l *packetConn) LocalAddr() net.Addr { return l.local }

// ReadFrom implements net.PacketConn. Bytes of the datagram that do not fit into b are lost.
func (l *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.from == nil {
		p, err := l.packets.next()
		if err != nil {
			return 0, nil, err
		}
		if l.from, err = decodePeer(l.local.Network(), p.data); err != nil {
			l.Reset(err) // the datagram would be taken for an address
			return 0, nil, err
		}
	}
	p, err := l.packets.next()
	if err != nil {
		return 0, nil, err // a deadline: the address is kept
	}
	from := l.from
	l.from = nil
	return copy(b, p.data), from, nil
}

// WriteTo implements net.PacketConn.
func (l *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	fail := func(err error) (int, error) {
		return 0, &net.OpError{Op: "write", Net: l.local.Network(), Source: l.local, Addr: to, Err: err}
	}
	if len(b) > maxPacket {
		return fail(syscall.EMSGSIZE)
	}
	peer, err := appendPeer(nil, to)
	if _, udp := to.(*net.UDPAddr); err != nil || to == nil || udp == (l.local.Network() == "unixgram") {
		return fail(errPeer)
	}
	framed := appendPacket(make([]byte, 0, 4+len(peer)+len(b)), peer)
	if err := writePacket(l.Stream, appendPacket(framed, b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// errPeer is an address that datagrams cannot be sent to.
var errPeer = errors.New("not an address of such a socket")

// appendPeer appends an address as it travels: the binary form of package netip
// or the name of a socket.
func appendPeer(b []byte, a net.Addr) ([]byte, error) {
	switch a := a.(type) {
	case *net.UDPAddr:
		if a == nil {
			return nil, errPeer
		}
		peer := a.AddrPort()
		if a.IP == nil { // to package net, the host itself
			peer = netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(a.Port))
		}
		if text, err := peer.MarshalBinary(); err == nil && peer.IsValid() && len(text) <= maxPeer {
			return append(b, text...), nil
		}
	case *net.UnixAddr:
		if a != nil && len(a.Name) <= maxPeer {
			return append(b, a.Name...), nil
		}
	case nil: // the sender has no name
		return b, nil
	}
	return nil, errPeer
}

func decodePeer(network string, b []byte) (net.Addr, error) {
	if network == "unixgram" {
		return &net.UnixAddr{Net: network, Name: string(b)}, nil
	}
	var peer netip.AddrPort
	if err := peer.UnmarshalBinary(b); err != nil || !peer.IsValid() {
		return nil, &core.Error{Kind: core.KindProtocol, Err: errPeer}
	}
	return net.UDPAddrFromAddrPort(peer), nil
}

// RelayPacketConn passes on the datagrams of a socket. The address that was bound
// comes first.
func RelayPacketConn(ctx context.Context, s *router.Stream, c net.PacketConn) error {
	local := c.LocalAddr()
	if err := WriteEnds(s, local, nil); err != nil {
		return err
	}
	buf, peer := make([]byte, 4+maxPeer+maxPacket), []byte(nil)
	return relayDatagrams(ctx, s, datagramSocket{
		Closer: c,
		receive: func() ([]byte, error) {
			n, from, err := c.ReadFrom(buf[4+maxPeer:])
			if err != nil {
				return nil, err
			}
			if peer, err = appendPeer(peer[:0], from); err != nil {
				return nil, err
			}
			// The two packets are laid down right before the datagram.
			at := maxPeer - len(peer)
			binary.BigEndian.PutUint16(buf[at:], uint16(len(peer)))
			copy(buf[at+2:], peer)
			binary.BigEndian.PutUint16(buf[2+maxPeer:], uint16(n))
			return buf[at : 4+maxPeer+n], nil
		},
		send: func(peer []byte, rest packetReader) error {
			to, err := decodePeer(local.Network(), peer)
			if err != nil {
				return err
			}
			p, err := rest.next()
			if err != nil {
				return errPackets
			}
			if _, err := c.WriteTo(p.data, to); errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil // a datagram that can't be sent is lost
		},
		tell: func(_ *router.Stream, err error) bool { return aboutOnePacket(err) },
	})
}

// maxPeer bounds an address as it travels: the name of a socket, or an address
// with a zone.
const maxPeer = 256
