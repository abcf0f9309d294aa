//go:build unix

package fakessh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/socks"
)

// target is where a forwarding leads to.
func (f Forward) target() (network, addr string) {
	if f.TargetPath != "" {
		return "unix", f.TargetPath
	}
	return "tcp", net.JoinHostPort(cmp.Or(f.TargetHost, "localhost"), strconv.Itoa(f.TargetPort))
}

// listen is where a forwarding takes connections: at this host unless something
// else is said, or everywhere.
func (f Forward) listen(everywhere bool) (network, addr string) {
	host := f.ListenHost
	switch {
	case f.ListenPath != "":
		return "unix", f.ListenPath
	case host == "*" || f.ListenAll || host == "" && everywhere:
		host = ""
	case host == "":
		host = "localhost"
	}
	return "tcp", net.JoinHostPort(host, strconv.Itoa(f.ListenPort))
}

// connectStdio is -W.
func (c *call) connectStdio() (int, error) {
	network, addr := c.line.Stdio.target()
	conn, err := c.node.DialContext(c.ctx, network, addr)
	if err != nil {
		return 0, reason(err)
	}
	return 0, c.join(conn)
}

// forwards are the open -L, -R and -D of a call.
//
// Goroutines: one accepts from each listener, and one serves each connection;
// all end with close.
type forwards struct {
	c   *call
	ctx context.Context // ends with close
	end context.CancelFunc
	wg  sync.WaitGroup
	lns []net.Listener
}

type listenFunc func(ctx context.Context, network, addr string) (net.Listener, error)

// openForwards opens all that the command line wants. What cannot be opened is
// an error if ExitOnForwardFailure says so.
func (c *call) openForwards() (end func(), err error) {
	f := &forwards{c: c}
	f.ctx, f.end = context.WithCancel(c.ctx)
	var here net.Dialer
	var lc net.ListenConfig
	err = errors.Join(
		f.open(c.line.Local, lc.Listen, c.line.GatewayPorts, c.node.DialContext),
		f.open(c.line.Dynamic, lc.Listen, c.line.GatewayPorts, c.node.DialContext),
		f.open(c.line.Remote, c.node.Listen, false, here.DialContext))
	if err != nil && c.line.ExitOnForwardFailure {
		f.close()
		return nil, err
	}
	return f.close, nil
}

func (f *forwards) open(list []Forward, listen listenFunc, everywhere bool, dial socks.DialFunc) error {
	var errs []error
	for _, fw := range list {
		network, addr := fw.listen(everywhere)
		ln, err := listen(f.ctx, network, addr)
		if err != nil {
			err = fmt.Errorf("could not request forwarding of %s: %w", addr, reason(err))
			if !f.c.line.ExitOnForwardFailure {
				f.c.say(LevelError, "ssh: %v", err)
			}
			errs = append(errs, err)
			continue
		}
		if fw.ListenPath == "" && fw.ListenPort == 0 {
			_, port, _ := net.SplitHostPort(ln.Addr().String())
			f.c.say(LevelInfo, "Allocated port %s for remote forward to %s", port, fw)
		}
		f.lns = append(f.lns, ln)
		f.wg.Go(func() { f.accept(ln, fw, dial) })
	}
	return errors.Join(errs...)
}

func (f *forwards) accept(ln net.Listener, fw Forward, dial socks.DialFunc) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() {
			defer context.AfterFunc(f.ctx, func() { conn.Close() })()
			if err := f.serve(conn, fw, dial); err != nil {
				f.c.say(LevelDebug1, "debug1: forwarding of %s: %v", fw, err)
			}
		})
	}
}

// serve connects a connection to its target.
func (f *forwards) serve(conn net.Conn, fw Forward, dial socks.DialFunc) error {
	defer conn.Close()
	if fw.Dynamic() {
		return socks.Serve(f.ctx, conn, dial)
	}
	network, addr := fw.target()
	far, err := dial(f.ctx, network, addr)
	if err != nil {
		return reason(err)
	}
	defer far.Close()
	return contexts.Join(conn, far)
}

// close closes all listeners and connections, and waits for the goroutines.
func (f *forwards) close() {
	f.end()
	for _, ln := range f.lns {
		ln.Close()
	}
	f.wg.Wait()
}
