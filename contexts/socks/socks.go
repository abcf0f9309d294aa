// Package socks serves SOCKS 5 (RFC 1928), 4 and 4a, so that programs that speak one of
// them reach every address that a context can dial. The host that dials resolves names.
//
//	conn, err := ln.Accept()
//	...
//	go socks.Serve(ctx, conn, node.DialContext)
//
// Clients need no password: every process that can reach the listener may use it. The only
// command is CONNECT.
//
// It is a package of its own because it makes the image larger: a program that does not
// import it does not carry it.
package socks

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/things-go/go-socks5"
	"github.com/things-go/go-socks5/statute"

	"github.com/mitosis-go/mitosis/contexts"
)

// DialFunc dials from a context, as [contexts.Node.DialContext] does, or from this host.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// handshake is the time that a client has for its request.
const handshake = 30 * time.Second

// Serve serves one connection of a client and closes it. It returns when both sides have
// ended. The error says that the client did not speak the protocol, or that the target
// could not be dialled; then the client has got an answer, too. Failures of the
// connection later reach the two sides, and are not returned. ctx bounds the dialling.
func Serve(ctx context.Context, near net.Conn, dial DialFunc) error {
	_ = near.SetDeadline(time.Now().Add(handshake))
	r := bufio.NewReader(near)
	version, err := r.Peek(1)
	switch {
	case err != nil:
		_ = near.Close()
		if errors.Is(err, io.EOF) {
			return nil // the client has asked for nothing
		}
		return err
	case version[0] == version4:
		return serve4(ctx, near, r, dial)
	}
	return serve5(ctx, readAhead{near, r}, dial)
}

// serve5 serves a client of SOCKS 5.
func serve5(ctx context.Context, near net.Conn, dial DialFunc) error {
	var failed error // of the target
	server := socks5.NewServer(
		socks5.WithResolver(notHere{}),
		socks5.WithConnectHandle(func(_ context.Context, _ io.Writer, q *socks5.Request) error {
			_ = near.SetDeadline(time.Time{})
			failed = connect(ctx, near, q, dial)
			return nil
		}),
		socks5.WithAssociateHandle(func(_ context.Context, w io.Writer, _ *socks5.Request) error {
			return socks5.SendReply(w, statute.RepCommandNotSupported, nil)
		}),
	)
	if err := server.ServeConn(near); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return failed
}

// connect dials the target of a client, and returns when both sides have ended.
func connect(ctx context.Context, near net.Conn, q *socks5.Request, dial DialFunc) error {
	far, err := dial(ctx, "tcp", q.DestAddr.String())
	if err != nil {
		_ = socks5.SendReply(near, reply(err), nil)
		return err
	}
	if err := socks5.SendReply(near, statute.RepSuccess, far.LocalAddr()); err != nil {
		_ = far.Close()
		return nil // the client has gone
	}
	_ = contexts.Relay(readAhead{near, q.Reader}, far)
	return nil
}

// reply returns the code of SOCKS 5 for the reason why a connection could not be made.
func reply(err error) uint8 {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return statute.RepHostUnreachable
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return statute.RepConnectionRefused
	case errors.Is(err, syscall.ENETUNREACH):
		return statute.RepNetworkUnreachable
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ETIMEDOUT):
		return statute.RepHostUnreachable
	}
	return statute.RepServerFailure
}

// notHere resolves no names, which is left to the host that dials.
type notHere struct{}

// Resolve implements socks5.NameResolver.
func (notHere) Resolve(ctx context.Context, _ string) (context.Context, net.IP, error) {
	return ctx, nil, nil
}

// readAhead is a connection of which a part has been read already.
type readAhead struct {
	net.Conn
	r io.Reader
}

// Read implements io.Reader.
func (c readAhead) Read(b []byte) (int, error) { return c.r.Read(b) }

// CloseWrite ends the sending direction, if the connection can do that.
func (c readAhead) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// SetLinger calls SetLinger of the connection, if it has that.
func (c readAhead) SetLinger(sec int) error {
	if l, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		return l.SetLinger(sec)
	}
	return nil
}
