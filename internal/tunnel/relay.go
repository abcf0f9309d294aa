// Package tunnel has the parser and the relay of the forwardings -L, -R and -D of ssh. The
// command line and the shim share it.
package tunnel

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/socks"
)

// A Relay connects the connections of a listener with their targets.
//
// Goroutines: that of the caller runs Serve, and each connection has one. They end when the ctx
// of Serve ends; Wait waits for those of the connections.
type Relay struct {
	// Immutable once Serve is called.
	Listener net.Listener
	Dial     socks.DialFunc
	// Network and Addr are the target. If Network is "", clients name it, by SOCKS.
	Network, Addr string
	// Refuse closes a connection whose target can't be reached, or when ctx ends.
	Refuse func(net.Conn)
	// Count is called when a connection begins (1) and when it has ended (-1). One by SOCKS
	// begins when its client has said where to.
	Count func(delta int)
	// Waits is called with the reason when nothing is accepted for a while.
	Waits func(error)
	// Failed is called with the reason if a target can't be reached; Broken with the error
	// that ended a connection, of which its two ends know.
	Failed, Broken func(error)

	connections sync.WaitGroup
}

// Serve accepts connections until ctx or the listener ends, and returns the reason. If the
// process can't have more connections at the moment, it waits.
func (r *Relay) Serve(ctx context.Context) error {
	for {
		near, err := r.Listener.Accept()
		switch {
		case err == nil:
			if r.Network != "" {
				r.Count(1)
			}
			r.connections.Go(func() { r.pass(ctx, near) })
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !IsPassing(err):
			return err
		default:
			r.Waits(err)
			if !Pause(ctx) {
				return context.Cause(ctx)
			}
		}
	}
}

// Wait waits for the connections. Serve must have returned.
func (r *Relay) Wait() { r.connections.Wait() }

// pass connects a connection with its target, and returns when both have ended.
func (r *Relay) pass(ctx context.Context, near net.Conn) {
	defer context.AfterFunc(ctx, func() { r.Refuse(near) })()
	tell := func(told func(error), err error) {
		if err != nil && ctx.Err() == nil {
			told(err)
		}
	}
	if r.Network == "" {
		counted := false // owned by this goroutine, on which Serve dials
		tell(r.Failed, socks.Serve(ctx, near, func(ctx context.Context, network, addr string) (net.Conn, error) {
			r.Count(1)
			counted = true
			return r.Dial(ctx, network, addr)
		}))
		if counted {
			r.Count(-1)
		}
		return
	}
	defer r.Count(-1)
	far, err := r.Dial(ctx, r.Network, r.Addr)
	if err != nil {
		r.Refuse(near)
		tell(r.Failed, err)
		return
	}
	tell(r.Broken, contexts.Relay(near, far))
}

// Reset closes a connection with an error for the peer, which must not take it for an orderly end.
func Reset(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.Close()
}

// IsPassing reports whether a listener may accept again, some time after it could not.
func IsPassing(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED)
}

// acceptPause is how long a listener waits if the process can't have more connections.
const acceptPause = 100 * time.Millisecond

// Pause waits before the next Accept. It reports false if ctx ends before.
func Pause(ctx context.Context) bool {
	select {
	case <-time.After(acceptPause):
		return true
	case <-ctx.Done():
		return false
	}
}
