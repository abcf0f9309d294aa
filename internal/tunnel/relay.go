// Package tunnel is what -L, -R and -D of ssh are made of, for the command line and
// the shim alike: how they are written, and the relay that passes connections on.
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

// A Relay passes on the connections of a listener.
//
// Goroutines: Serve, which is its caller's, and one for each connection. They end when
// the ctx of Serve does; Wait waits for those of the connections.
type Relay struct {
	// Immutable once Serve is called.
	Listener net.Listener
	Dial     socks.DialFunc
	// Where connections lead to; without a network their clients say so, by SOCKS.
	Network, Addr string
	// Refuse ends a connection that can't be passed on, or no longer.
	Refuse func(net.Conn)
	// Count is told of a connection that begins (1) or has ended (-1).
	Count func(delta int)
	// Waits is told why nothing is accepted for a while.
	Waits func(error)
	// Failed is told why one connection was not passed on, Broken with what one ended
	// that was. Its two ends know that anyway.
	Failed, Broken func(error)

	connections sync.WaitGroup
}

// Serve accepts connections until ctx or the listener ends, and returns why. Where the
// process has no room for connections it waits for some.
func (r *Relay) Serve(ctx context.Context) error {
	for {
		near, err := r.Listener.Accept()
		switch {
		case err == nil:
			r.Count(1)
			r.connections.Go(func() {
				defer r.Count(-1)
				r.pass(ctx, near)
			})
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

// pass connects an accepted connection with its target, and returns when both have
// ended.
func (r *Relay) pass(ctx context.Context, near net.Conn) {
	defer context.AfterFunc(ctx, func() { r.Refuse(near) })()
	tell := func(told func(error), err error) {
		if err != nil && ctx.Err() == nil {
			told(err)
		}
	}
	if r.Network == "" {
		tell(r.Failed, socks.Serve(ctx, near, r.Dial))
		return
	}
	far, err := r.Dial(ctx, r.Network, r.Addr)
	if err != nil {
		r.Refuse(near)
		tell(r.Failed, err)
		return
	}
	tell(r.Broken, contexts.Relay(near, far))
}

// IsPassing reports whether a listener may accept again, some time after it could not.
func IsPassing(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED)
}

// acceptPause is how long nothing is accepted where this process has no more
// room for connections.
const acceptPause = 100 * time.Millisecond

// Pause waits until it is worth while to accept again. It reports false if ctx ends
// before.
func Pause(ctx context.Context) bool {
	select {
	case <-time.After(acceptPause):
		return true
	case <-ctx.Done():
		return false
	}
}
