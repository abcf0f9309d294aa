package contexts

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/mitosis-go/mitosis/contexts/internal/call"
	"github.com/mitosis-go/mitosis/core"
)

// use is a call's use of a service's object. Owned by the goroutine of the call.
type use struct {
	h       *home
	to      *Node        // the context to which the call is passed on; nil: it uses the object here
	making  bool         // it is no call, but the making of the object
	entered bool         // it is counted among the users
	wait    *call.Flight // of the making that has to end before; nil: the object is made
	queue   *call.Queue  // in which the call waits for its turn; nil: it does not wait
	key     string       // of the shared run; "" in other calls
	release func()       // called when the call is over
}

// arrive begins the use of an object by a call that was admitted. It must not block. It is
// called before later calls arrive, so that they find their places behind this one.
func (s *service) arrive(c *incoming) {
	h := s.in(c.l)
	u := &use{h: h, to: h.passesTo(), entered: h.enter()}
	if u.entered && u.to == nil {
		u.wait = h.join()
	}
	// A call that is passed on is in the queue, too, so that these keep their order.
	if c.e.opts&Serial != 0 && !c.e.method.single {
		u.queue = &h.serial
	}
	u.release = func() {
		if u.wait != nil {
			u.wait.Leave(causeOf(c.ctx))
		}
		if u.entered {
			h.leave()
		}
	}
	c.use = u
}

// callMethod has fn run with the object. in points to the argument.
func (c *incoming) callMethod(in any, fn func(ctx context.Context, object any) (any, error)) (any, error) {
	u := c.use
	if !u.entered {
		return nil, errShutdown
	}
	object, err := u.h.await(c.ctx, u.wait)
	if err != nil {
		return nil, err
	}
	if !c.e.method.single {
		return fn(c.ctx, object)
	}
	if u.key, err = runKey(c.e, in); err != nil {
		return nil, err
	}
	run := u.h.runs.Join(u.key, context.WithValue(c.l.Ctx, callContextKey{}, c), func(ctx context.Context) (any, error) {
		return c.runOnce(ctx, func() (any, error) { return fn(ctx, object) })
	})
	defer func() { run.Leave(causeOf(c.ctx)) }()
	return run.Wait(c.ctx)
}

// runOnce runs a method for all callers that share the run. c is the call of the first one.
func (c *incoming) runOnce(ctx context.Context, fn func() (any, error)) (v any, err error) {
	h := c.use.h
	if !h.enter() {
		return nil, errShutdown
	}
	defer h.leave()
	run := func() {
		defer func() {
			if p := recover(); p != nil {
				err = newPanicError(p)
			}
		}()
		if err = context.Cause(ctx); err == nil {
			v, err = fn()
		}
	}
	if c.e.opts&Serial == 0 {
		run()
		return v, err
	}
	done := make(chan struct{})
	h.serial.Enqueue(func() {
		defer close(done)
		run()
	})
	<-done
	return v, err
}

// runKey returns the key of the run that callers with equal arguments share. in points to the
// argument.
func runKey(e *entry, in any) (string, error) {
	arg, err := core.MarshalKey(reflect.ValueOf(in).Elem().Interface())
	if err != nil {
		return "", fmt.Errorf("the argument cannot be encoded: %w", err)
	}
	return e.name + "\x00" + string(arg), nil
}

// errOwnCall is the error of calls that would wait for their own caller.
var errOwnCall = errors.New("the service would wait for itself: the call is made by")

// checkMethod returns an error for a call of a method that would wait for its caller: by the
// making of the object, by one of its Serial methods for another, or by a shared run for itself.
func (s *service) checkMethod(ctx context.Context, e *entry, on *Node, in any) error {
	c := s.callerOn(ctx, on)
	switch {
	case c == nil:
		return nil
	case c.use.making:
		return c.use.checkMaking()
	case e.opts&c.e.opts&Serial != 0:
		return fmt.Errorf("%w %q, and both are Serial", errOwnCall, c.e.name)
	case e == c.e && e.method.single:
		if key, err := runKey(e, in); err == nil && key == c.use.key {
			return fmt.Errorf("%w %q, with the same argument, and it is SingleFlight", errOwnCall, c.e.name)
		}
	}
	return nil
}

// callerOn returns the call to which ctx belongs, if it uses the object in the context on. Else
// it returns nil.
func (s *service) callerOn(ctx context.Context, on *Node) *incoming {
	c := callOf(ctx)
	if c == nil || c.use == nil || c.use.h.s != s || on.self != c.l || on.id != c.l.id {
		return nil
	}
	return c
}

// checkMaking returns an error for a use of the object by its own making.
func (s *service) checkMaking(ctx context.Context, on *Node) error {
	if c := s.callerOn(ctx, on); c != nil {
		return c.use.checkMaking()
	}
	return nil
}

// checkMaking returns an error while the object is being made. Later its goroutines may use
// the same ctx.
func (u *use) checkMaking() error {
	if u.making && u.h.object.Load() == nil {
		return fmt.Errorf("%w the making of its object", errOwnCall)
	}
	return nil
}
