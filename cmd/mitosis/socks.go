package main

import (
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

// socksServer serves the connections of one relay. Its clients need no password:
// whoever can reach the listener may use it. It has the command CONNECT only.
type socksServer struct{ dial dialFunc }

func newSocksServer(dial dialFunc) *socksServer { return &socksServer{dial} }

// socksHandshake is how long a client may take to say what it wants.
const socksHandshake = 30 * time.Second

// serve serves a connection and closes it.
func (s *socksServer) serve(ctx context.Context, near net.Conn) error {
	var failed error // of the target
	server := socks5.NewServer(
		socks5.WithResolver(notHere{}),
		socks5.WithConnectHandle(func(_ context.Context, _ io.Writer, q *socks5.Request) error {
			_ = near.SetDeadline(time.Time{})
			failed = s.connect(ctx, near, q)
			return nil
		}),
		socks5.WithAssociateHandle(func(_ context.Context, w io.Writer, _ *socks5.Request) error {
			return socks5.SendReply(w, statute.RepCommandNotSupported, nil)
		}),
	)
	_ = near.SetDeadline(time.Now().Add(socksHandshake))
	if err := server.ServeConn(near); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return failed
}

// connect dials what the client asks for, and returns when both sides have
// ended.
func (s *socksServer) connect(ctx context.Context, near net.Conn, q *socks5.Request) error {
	far, err := s.dial(ctx, "tcp", q.DestAddr.String())
	if err != nil {
		_ = socks5.SendReply(near, socksReply(err), nil)
		return err
	}
	if err := socks5.SendReply(near, statute.RepSuccess, far.LocalAddr()); err != nil {
		reset(far)
		return nil // the client has gone
	}
	_ = contexts.Join(readAhead{near, q.Reader}, far)
	return nil
}

// socksReply is what a client is told of why a connection could not be made.
func socksReply(err error) uint8 {
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

// notHere leaves names to the host that dials.
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

// CloseWrite is that of the connection.
func (c readAhead) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// SetLinger is that of the connection.
func (c readAhead) SetLinger(sec int) error {
	if l, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		return l.SetLinger(sec)
	}
	return nil
}
