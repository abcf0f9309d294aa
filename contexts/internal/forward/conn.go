package forward

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/mitosis-go/mitosis/contexts/internal/items"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// forwarded is the near end of a connection that another context's host has.
type forwarded struct {
	*router.Stream
	local, remote net.Addr
	abort         atomic.Bool
}

// NewConn makes a connection of a stream at whose other end is Relay. A connection of
// datagrams keeps their boundaries.
func NewConn(s *router.Stream, network string, local, remote net.Addr) net.Conn {
	if Datagrams(network) {
		return newPacketStream(s, local, remote)
	}
	return &forwarded{Stream: s, local: local, remote: remote}
}

// LocalAddr implements net.Conn.
func (c *forwarded) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *forwarded) RemoteAddr() net.Addr { return c.remote }

// SetLinger works as that of net.TCPConn: after SetLinger(0), Close resets the connection of
// the peer.
func (c *forwarded) SetLinger(sec int) error {
	c.abort.Store(sec == 0)
	return nil
}

// Close implements net.Conn.
func (c *forwarded) Close() error {
	if c.abort.Load() {
		c.Reset(syscall.ECONNRESET)
		return nil
	}
	return c.Stream.Close()
}

// FarAddr is an address of another host for which package net has no type here.
type FarAddr struct{ Net, Addr string }

// Network implements net.Addr.
func (a FarAddr) Network() string { return a.Net }

// String implements net.Addr.
func (a FarAddr) String() string { return a.Addr }

// An Addr is how an address travels.
type Addr struct {
	_       struct{} `cbor:",toarray"`
	Network string
	Addr    []byte // names of sockets are any bytes
}

// Wire returns an address as it travels; a nil one is the zero Addr.
func Wire(a net.Addr) Addr {
	if a == nil {
		return Addr{}
	}
	return Addr{Network: a.Network(), Addr: []byte(a.String())}
}

// Net returns the address again.
func (w Addr) Net() net.Addr {
	s := string(w.Addr)
	switch {
	case strings.HasPrefix(w.Network, "tcp"):
		if ap, err := netip.ParseAddrPort(s); err == nil {
			return net.TCPAddrFromAddrPort(ap)
		}
	case strings.HasPrefix(w.Network, "udp"):
		if ap, err := netip.ParseAddrPort(s); err == nil {
			return net.UDPAddrFromAddrPort(ap)
		}
	case strings.HasPrefix(w.Network, "unix"):
		return &net.UnixAddr{Net: w.Network, Name: s}
	}
	return FarAddr{w.Network, s}
}

// ends are the addresses of a connection. They come first on its stream: their size in two
// bytes, and then CBOR.
type ends struct {
	_             struct{} `cbor:",toarray"`
	Local, Remote Addr
}

// WriteEnds writes the addresses of a connection.
func WriteEnds(w io.Writer, local, remote net.Addr) error {
	b, err := core.Marshal(ends{Local: Wire(local), Remote: Wire(remote)})
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}

// ReadEnds reads the addresses that WriteEnds wrote.
func ReadEnds(r io.Reader) (local, remote net.Addr, err error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, nil, items.Unexpected(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, nil, items.Unexpected(err)
	}
	var e ends
	if err := core.Unmarshal(b, &e); err != nil {
		return nil, nil, &core.Error{Kind: core.KindProtocol, Err: err}
	}
	return e.Local.Net(), e.Remote.Net(), nil
}

// Forwardable reports whether connections of a network can be passed on.
func Forwardable(network string) bool {
	switch network {
	case "tcp", "tcp4", "tcp6", "unix":
		return true
	}
	return Datagrams(network)
}

// Datagrams reports whether a network is one of datagrams.
func Datagrams(network string) bool {
	return strings.HasPrefix(network, "udp") || network == "unixgram"
}

// Failure returns the reason in an error of package net, which can travel. The near end
// wraps it again.
func Failure(err error) error {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		plain := *e
		plain.UnwrapErr = nil // an interface cannot travel
		return &plain
	}
	if e, ok := err.(*net.OpError); ok {
		return e.Err
	}
	return err
}

func init() { core.RegisterErrorType[*net.DNSError]("net.DNSError") }
