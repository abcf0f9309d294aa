package forward

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/items"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// Datagrams travel on a stream, each behind its size in two bytes. The size packetError
// announces an error, which has a size of its own: the host has learned something of an
// earlier datagram, such as that nobody listens.
const (
	maxPacket   = 65507 // of UDP over IPv4
	packetError = 0xffff
)

// appendPacket appends a datagram with its size.
func appendPacket(b, packet []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(packet))), packet...)
}

// packetReader takes datagrams from a stream. A deadline in the middle of one
// loses nothing.
type packetReader struct{ r *bufio.Reader }

func newPacketReader(s *router.Stream) packetReader {
	return packetReader{bufio.NewReaderSize(s, 4+1<<16)}
}

// packet is a datagram, or the error that came in its place.
type packet struct {
	data []byte // valid until the next one is taken
	err  error
}

// next returns the packet that comes next, and an error where there is none.
func (p packetReader) next() (packet, error) {
	head, err := p.r.Peek(2)
	if err != nil {
		return packet{}, err
	}
	start, size := 2, int(binary.BigEndian.Uint16(head))
	failed := size == packetError
	if failed {
		if head, err = p.r.Peek(4); err != nil {
			return packet{}, items.Unexpected(err)
		}
		start, size = 4, int(binary.BigEndian.Uint16(head[2:]))
	}
	all, err := p.r.Peek(start + size)
	if err != nil {
		return packet{}, items.Unexpected(err)
	}
	_, _ = p.r.Discard(len(all))
	if failed {
		return packet{err: core.DecodeError(all[start:])}, nil
	}
	return packet{data: all[start:]}, nil
}

// packetStream is the near end of a connection of datagrams.
type packetStream struct {
	s             *router.Stream
	local, remote net.Addr

	reading sync.Mutex // held by the one Read under way
	packets packetReader
}

func newPacketStream(s *router.Stream, local, remote net.Addr) *packetStream {
	return &packetStream{s: s, local: local, remote: remote, packets: newPacketReader(s)}
}

func (c *packetStream) LocalAddr() net.Addr                { return c.local }
func (c *packetStream) RemoteAddr() net.Addr               { return c.remote }
func (c *packetStream) Close() error                       { return c.s.Close() }
func (c *packetStream) SetDeadline(t time.Time) error      { return c.s.SetDeadline(t) }
func (c *packetStream) SetReadDeadline(t time.Time) error  { return c.s.SetReadDeadline(t) }
func (c *packetStream) SetWriteDeadline(t time.Time) error { return c.s.SetWriteDeadline(t) }

// Read reads one datagram. Bytes of it that do not fit into b are lost.
func (c *packetStream) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	p, err := c.packets.next()
	if err != nil {
		return 0, err
	}
	return copy(b, p.data), p.err
}

// Write sends one datagram.
func (c *packetStream) Write(b []byte) (int, error) {
	if len(b) > maxPacket {
		return 0, &net.OpError{Op: "write", Net: c.remote.Network(), Source: c.local, Addr: c.remote, Err: syscall.EMSGSIZE}
	}
	if err := writePacket(c.s, appendPacket(make([]byte, 0, 2+len(b)), b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// writePacket writes a datagram. If only a part of it could be written, it ends the stream:
// the other end could not read the next one.
func writePacket(s *router.Stream, framed []byte) error {
	n, err := s.Write(framed)
	if err != nil && n > 0 {
		s.Reset(err)
	}
	return err
}

// relayPackets is Relay for datagrams. What the host receives faster than the
// other end takes it is dropped by the host's own socket.
func relayPackets(ctx context.Context, s *router.Stream, c net.Conn) error {
	buf := make([]byte, 2+maxPacket)
	return relayDatagrams(ctx, s, datagramSocket{
		Closer: c,
		receive: func() ([]byte, error) {
			n, err := c.Read(buf[2:])
			binary.BigEndian.PutUint16(buf, uint16(n))
			return buf[:2+n], err
		},
		send: func(data []byte, _ packetReader) error {
			_, err := c.Write(data)
			return err
		},
		tell: tellPacketError,
	})
}

// A datagramSocket is one of this host that is relayed.
type datagramSocket struct {
	io.Closer
	// receive returns a datagram as it travels, valid until the next call.
	receive func() ([]byte, error)
	// send sends the datagram of a packet and of the packets of rest that belong to it. If it
	// can't read these it returns errPackets.
	send func(packet []byte, rest packetReader) error
	// tell reports whether an error was about one datagram and not about the
	// socket, and may pass it on.
	tell func(*router.Stream, error) bool
}

// errPackets says that the other end of the stream sends no more packets.
var errPackets = errors.New("no packet")

func relayDatagrams(ctx context.Context, s *router.Stream, c datagramSocket) error {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() {
		s.Reset(context.Cause(ctx))
		c.Close()
	})
	defer stop()
	down := make(chan struct{})
	go func() {
		defer close(down)
		defer c.Close()
		for packets := newPacketReader(s); ; {
			p, err := packets.next()
			if err != nil {
				return
			}
			if p.err != nil {
				continue
			}
			switch err := c.send(p.data, packets); {
			case err == nil || c.tell(s, err):
			case err == errPackets:
				return
			default:
				s.Reset(err)
				return
			}
		}
	}()
	defer func() { <-down }()
	for {
		framed, err := c.receive()
		switch {
		case err == nil:
			if writePacket(s, framed) != nil {
				return nil
			}
		case c.tell(s, err):
		case errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF):
			s.Close()
			return nil
		default:
			s.Reset(err)
			return err
		}
	}
}

// tellPacketError passes on an error that is about one datagram and not about
// the socket. It reports false for others.
func tellPacketError(s *router.Stream, err error) bool {
	if !aboutOnePacket(err) {
		return false
	}
	b := binary.BigEndian.AppendUint16(nil, packetError)
	return writePacket(s, appendPacket(b, core.EncodeErrorWithin(err, 4096))) == nil
}

// aboutOnePacket reports whether an error is about one datagram.
func aboutOnePacket(err error) bool {
	errno, _ := errors.AsType[syscall.Errno](err)
	switch errno {
	case syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EMSGSIZE, syscall.EPERM, syscall.ENOBUFS:
		return true
	}
	return false
}
