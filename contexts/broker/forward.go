//go:build linux || darwin || freebsd

package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
	"github.com/mitosis-go/mitosis/internal/resolve"
	"github.com/mitosis-go/mitosis/internal/tunnel"
)

// forward forwards connections until it is cancelled.
func (q *request) forward() (wire.Frame, error) {
	listen, to := q.f.Listen, q.f.To
	if listen == nil || to == nil {
		return wire.Frame{}, usage("forward needs listen and to")
	}
	for _, e := range []*wire.Endpoint{listen, to} {
		if err := checkNetwork(e.Network); err != nil {
			return wire.Frame{}, err
		}
	}
	l, err := q.open()
	if err != nil {
		return wire.Frame{}, err
	}
	defer l.Release()
	node := l.Node()
	relay := tunnel.Relay{
		Dial: node.DialContext, Network: to.Network, Addr: to.Address,
		Refuse: tunnel.Reset, Count: func(int) {}, Waits: func(error) {}, Broken: func(error) {},
		Failed: func(err error) { q.s.b.log.Info("a forwarded connection failed", "to", to.Address, "err", err) },
	}
	sockets := new(contexts.ListenConfig)
	if q.f.Remote {
		relay.Dial = resolve.Dialer(new(net.Dialer).DialContext)
		relay.Listener, err = sockets.ListenAt(q.ctx, node, listen.Network, listen.Address)
	} else {
		relay.Listener, err = sockets.Listen(q.ctx, listen.Network, listen.Address)
	}
	if err != nil {
		return wire.Frame{}, err
	}
	addr := relay.Listener.Addr()
	if err := q.send(wire.Frame{Header: &wire.BrokerFrame{Event: "listening", Network: addr.Network(), Address: addr.String()}}); err != nil {
		q.cancel(errClientLeft)
	}
	defer context.AfterFunc(q.ctx, func() { _ = relay.Listener.Close() })()
	go func() { // ends with the request
		select {
		case <-node.Done():
			q.cancel(node.Err())
		case <-q.ctx.Done():
		}
	}()
	err = relay.Serve(q.ctx)
	q.cancel(err)
	_ = relay.Listener.Close()
	relay.Wait()
	if errors.Is(q.why(), errCancelled) {
		return wire.Frame{Header: okFrame()}, nil
	}
	return wire.Frame{}, q.why()
}

// dial connects the client with an address that the end of the path reaches.
func (q *request) dial() (wire.Frame, error) {
	if err := checkNetwork(q.f.Network); err != nil {
		return wire.Frame{}, err
	}
	l, err := q.open()
	if err != nil {
		return wire.Frame{}, err
	}
	defer l.Release()
	c, err := l.Node().DialContext(q.ctx, q.f.Network, q.f.Address)
	if err != nil {
		return wire.Frame{}, err
	}
	defer c.Close()
	defer context.AfterFunc(q.ctx, func() { tunnel.Reset(c) })()
	if err := q.send(wire.Frame{Header: &wire.BrokerFrame{Event: "connected"}}); err != nil {
		tunnel.Reset(c)
		return wire.Frame{}, err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(struct{ io.Writer }{c}, q.input)
		if w, ok := c.(interface{ CloseWrite() error }); ok && err == nil {
			err = w.CloseWrite()
		}
		sent <- err
	}()
	data := &stream{q: q, name: "data"}
	_, err = io.CopyBuffer(struct{ io.Writer }{data}, struct{ io.Reader }{c}, make([]byte, wire.MaxData))
	if err == nil {
		err = q.send(data.end())
	}
	if err != nil {
		tunnel.Reset(c)
		q.input.close(err)
	}
	if sendErr := <-sent; err == nil {
		err = sendErr
	}
	if err != nil && q.ctx.Err() != nil {
		err = q.why()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", q.f.Address, err)
	}
	return wire.Frame{Header: okFrame()}, err
}

// checkNetwork returns an error for a network that a client can't name.
func checkNetwork(network string) error {
	if network != "tcp" && network != "unix" {
		return usage("network %q is neither tcp nor unix", network)
	}
	return nil
}
