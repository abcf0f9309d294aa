package forward

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"strings"
	"sync"
	"syscall"
)

// SocketConfig says how a port or a socket of this host is listened on: see ListenConfig
// of package contexts, which is the same.
type SocketConfig struct {
	SocketMode fs.FileMode
	Unlink     bool
	Skipped    func(addr string, err error)
}

// Listen listens: see ListenConfig.Listen of package contexts.
func (c *SocketConfig) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	if network == "unix" {
		return c.listenSocket(ctx, addr)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || !strings.EqualFold(host, "localhost") {
		return new(net.ListenConfig).Listen(ctx, network, addr)
	}
	switch network {
	case "tcp":
		return c.listenLoopback(ctx, port)
	case "tcp4":
		host = loopback4
	case "tcp6":
		host = loopback6
	}
	return new(net.ListenConfig).Listen(ctx, network, net.JoinHostPort(host, port))
}

// mode returns the permissions of a socket.
func (c *SocketConfig) mode() fs.FileMode { return cmp.Or(c.SocketMode, 0o600).Perm() }

const (
	loopback4 = "127.0.0.1"
	loopback6 = "::1"
)

// portAttempts is how often a free port of the one family may be taken in the
// other before one family must do.
const portAttempts = 16

// listenLoopback listens on the loopback addresses of both families.
func (c *SocketConfig) listenLoopback(ctx context.Context, port string) (net.Listener, error) {
	for attempt := 1; ; attempt++ {
		var lc net.ListenConfig
		first, err := lc.Listen(ctx, "tcp4", net.JoinHostPort(loopback4, port))
		if err != nil {
			only, err6 := lc.Listen(ctx, "tcp6", net.JoinHostPort(loopback6, port))
			if err6 != nil {
				return nil, err
			}
			c.skipped(loopback4, port, err)
			return only, nil
		}
		_, chosen, _ := net.SplitHostPort(first.Addr().String())
		second, err := lc.Listen(ctx, "tcp6", net.JoinHostPort(loopback6, chosen))
		switch {
		case err == nil:
			return joinListeners(first, second), nil
		case port != chosen && errors.Is(err, syscall.EADDRINUSE) && attempt < portAttempts:
			first.Close()
		default:
			c.skipped(loopback6, chosen, err)
			return first, nil
		}
	}
}

func (c *SocketConfig) skipped(host, port string, err error) {
	if c.Skipped != nil {
		c.Skipped(net.JoinHostPort(host, port), err)
	}
}

// listenerPair accepts from two listeners. Its address is that of the first.
//
// Goroutines: one accepts from each listener until that is closed; Close waits
// for both.
type listenerPair struct {
	// Immutable after joinListeners.
	net.Listener // the first
	second       net.Listener

	accepted  chan accepted // capacity 0; sent by the goroutines, received by Accept
	done      chan struct{} // closed by Close
	closeOnce sync.Once
	accepting sync.WaitGroup
}

type accepted struct {
	conn net.Conn
	err  error
}

func joinListeners(first, second net.Listener) net.Listener {
	p := &listenerPair{Listener: first, second: second, accepted: make(chan accepted), done: make(chan struct{})}
	for _, ln := range []net.Listener{first, second} {
		p.accepting.Go(func() { p.accept(ln) })
	}
	return p
}

func (p *listenerPair) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		select {
		case p.accepted <- accepted{conn, err}:
		case <-p.done:
			if err == nil {
				Abort(conn)
			}
			return
		}
	}
}

// Accept implements net.Listener.
func (p *listenerPair) Accept() (net.Conn, error) {
	select {
	case a := <-p.accepted:
		return a.conn, a.err
	case <-p.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: p.Addr(), Err: net.ErrClosed}
	}
}

// Close implements net.Listener.
func (p *listenerPair) Close() error {
	err := error(&net.OpError{Op: "close", Net: "tcp", Addr: p.Addr(), Err: net.ErrClosed})
	p.closeOnce.Do(func() {
		close(p.done)
		err = errors.Join(p.Listener.Close(), p.second.Close())
		p.accepting.Wait()
	})
	return err
}
