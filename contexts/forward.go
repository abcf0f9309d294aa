package contexts

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// forwarded is a connection of another context's host as it is seen here.
type forwarded struct {
	*router.Stream
	local, remote net.Addr
	abort         atomic.Bool
}

// newForwarded makes a connection of a stream. Those of datagrams keep their
// boundaries.
func newForwarded(s *router.Stream, network string, local, remote net.Addr) net.Conn {
	if datagrams(network) {
		return newPacketStream(s, local, remote)
	}
	return &forwarded{Stream: s, local: local, remote: remote}
}

// LocalAddr implements net.Conn.
func (c *forwarded) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *forwarded) RemoteAddr() net.Addr { return c.remote }

// SetLinger is that of net.TCPConn: with 0, Close is a reset for the peer, who
// does not take it for an orderly end.
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

// farAddr is an address of another host that package net has no form for here.
type farAddr struct{ network, addr string }

func (a farAddr) Network() string { return a.network }
func (a farAddr) String() string  { return a.addr }

// wireAddr is how an address travels.
type wireAddr struct {
	_       struct{} `cbor:",toarray"`
	Network string
	Addr    []byte // names of sockets are any bytes
}

func toWire(a net.Addr) wireAddr {
	if a == nil {
		return wireAddr{}
	}
	return wireAddr{Network: a.Network(), Addr: []byte(a.String())}
}

func (w wireAddr) addr() net.Addr {
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
	return farAddr{w.Network, s}
}

// wireEnds is what comes first on the stream of a connection: its addresses, in
// CBOR behind their size in two bytes.
type wireEnds struct {
	_             struct{} `cbor:",toarray"`
	Local, Remote wireAddr
}

func writeEnds(w io.Writer, local, remote net.Addr) error {
	b, err := core.Marshal(wireEnds{Local: toWire(local), Remote: toWire(remote)})
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}

func readEnds(r io.Reader) (local, remote net.Addr, err error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, nil, unexpected(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, nil, unexpected(err)
	}
	var e wireEnds
	if err := core.Unmarshal(b, &e); err != nil {
		return nil, nil, &core.Error{Kind: core.KindProtocol, Err: err}
	}
	return e.Local.addr(), e.Remote.addr(), nil
}

// openForwarded calls a function that opens something at n's host for its caller,
// and waits for the addresses, which come first on the stream.
func openForwarded(ctx context.Context, e *entry, nodes visitor, n *Node, in any) (_ *router.Stream, local, remote net.Addr, _ error) {
	s, err := openStream(ctx, e, nodes, n, in)
	if err != nil {
		return nil, nil, nil, reasonWithoutCall(err)
	}
	stop := context.AfterFunc(ctx, func() { s.Reset(context.Cause(ctx)) })
	local, remote, err = readEnds(s)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.Close()
		return nil, nil, nil, err
	}
	return s, local, remote, nil
}

// lingerTime is how long one side may take no byte of what is still to be
// delivered to it when the other has closed.
const lingerTime = time.Minute

// relay copies between a stream and a connection of this host until both sides
// have said all they had to say, or either has closed. It closes c.
//
// What TCP tells its peers is told through the hops: end of data by the end
// of data, a reset by a reset. Closing is like that of a socket: what was
// written before is delivered, what the peer says from then on is not wanted.
func relay(ctx context.Context, s *router.Stream, c net.Conn) error {
	if datagrams(c.LocalAddr().Network()) {
		return relayPackets(ctx, s, c)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() {
		s.Reset(context.Cause(ctx)) // first: it is the reason of what follows
		abort(c)
	})
	defer stop()
	var up sync.WaitGroup
	up.Go(func() { relayUp(s, c) })
	finished := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-s.Done():
			_ = c.SetReadDeadline(time.Now())
			_ = c.SetWriteDeadline(time.Now().Add(lingerTime))
		case <-finished:
		}
	})

	to := &lingering{s: s, c: c}
	_, err := io.Copy(to, s)
	switch {
	case to.err != nil:
		// The peer takes nothing more. What it said before is delivered, and
		// then the reason, unless the other end only writes and never reads.
		_ = s.SetWriteDeadline(time.Now().Add(lingerTime))
		var drain sync.WaitGroup
		drain.Go(func() { _, _ = io.Copy(io.Discard, s) })
		up.Wait()
		s.Reset(to.err)
		drain.Wait()
	case err != nil:
		abort(c)
	default:
		if w, ok := c.(closeWriter); ok {
			_ = w.CloseWrite()
		}
	}
	up.Wait()
	close(finished)
	watch.Wait()
	return nil
}

// relayUp copies what the peer on the host says. It ends when that has nothing
// more to say, or nobody wants it.
func relayUp(s *router.Stream, c net.Conn) {
	_, err := io.Copy(s, c)
	if err == nil {
		err = s.CloseWrite()
	}
	if err != nil && !isDone(s) {
		s.Reset(err)
	}
}

// closeWriter is a connection that can say "no more" and still listen.
type closeWriter interface{ CloseWrite() error }

// abort closes a connection in the way that its peer sees as a failure.
func abort(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.Close()
}

func isDone(s *router.Stream) bool {
	select {
	case <-s.Done():
		return true
	default:
		return false
	}
}

// lingering writes to the connection, and keeps the error so that it can be
// told from one of the stream.
type lingering struct {
	s   *router.Stream
	c   net.Conn
	err error
}

func (l *lingering) Write(b []byte) (int, error) {
	if isDone(l.s) {
		_ = l.c.SetWriteDeadline(time.Now().Add(lingerTime))
	}
	n, err := l.c.Write(b)
	l.err = err
	return n, err
}
