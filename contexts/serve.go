package contexts

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/mitosis-go/mitosis/contexts/internal/call"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// incoming is one call at the side where it runs.
type incoming struct {
	// Immutable.
	l *local
	e *entry
	m router.Message
	q call.Request

	// Owned by the goroutine of the call.
	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // the deadline's timer; may be nil
	failed error              // the error that was the answer; nil: none

	use *use // of a service's object; nil in calls of other functions
}

// The bounds of calls that run at once for one caller. An ancestor may do anything, so
// its bound is only against accidents.
const (
	maxCallsDescendant = 1024
	maxCallsAncestor   = 1 << 17
)

// onCall takes a frame to HandleCall. It runs on the reader of a link and must not block:
// work that takes time has a goroutine, which is counted for the caller first.
func (l *local) onCall(m router.Message) {
	if m.Flags&core.Cancel != 0 {
		if c := l.calls.Get(call.Key{Src: m.Src, Reply: m.Reply}); c != nil {
			c.Cancel(context.Canceled)
		}
		return
	}
	c := &incoming{l: l, m: m}
	err := c.admit()
	if err == nil && c.q.Chain != 0 {
		if err = l.chains.Enqueue(call.ChainKey{Src: m.Src, ID: c.q.Chain}, c.q.Seq, c); err != nil {
			c.Release()
		}
	} else if err == nil {
		if q := c.queue(); q != nil {
			q.Enqueue(c.run)
		} else {
			go c.run()
		}
	}
	if err != nil {
		l.router.Refuse(m, &Error{Op: "call", Path: l.displayPath(), Err: err})
	}
}

// admit checks whether the call may run, and counts it.
func (c *incoming) admit() error {
	var err error
	if c.q, err = call.DecodeRequest(c.m.Body); err != nil {
		return err
	}
	c.m.Body = nil
	if c.e = lookup(c.q.Fn); c.e == nil {
		return fmt.Errorf("%w: number %d", ErrUnknownFunc, c.q.Fn)
	}
	limit := maxCallsAncestor
	if c.m.Rights != router.RightsFull || c.l.guest && c.e != shutdownFunc.e {
		if c.e.opts&AllowDescendants == 0 {
			return fmt.Errorf("%w: %q is not registered with AllowDescendants", ErrRefused, c.e.name)
		}
		limit = maxCallsDescendant
	}
	err = c.l.calls.Admit(c.key(), c, limit)
	if err == nil && c.e.method != nil {
		c.e.method.arrive(c)
	}
	return err
}

// key names the call among those that run here.
func (c *incoming) key() call.Key { return call.Key{Src: c.m.Src, Reply: c.m.Reply} }

// Begin makes the context of an admitted call.
func (c *incoming) Begin() {
	c.ctx, c.cancel = context.WithCancelCause(c.l.Ctx)
	if c.q.Timeout > 0 {
		c.ctx, c.stop = context.WithTimeout(c.ctx, c.q.Timeout)
	}
	c.ctx = context.WithValue(c.ctx, callContextKey{}, c)
}

// growStack makes the stack of a goroutine large enough for most calls at once. A
// goroutine begins with 2 KiB. Each doubling visits all frames on the stack: in the depths
// of decoding, that costs more than the decoding.
//
//go:noinline
func growStack() {
	var room [4 << 10]byte
	runtime.KeepAlive(&room)
}

// queue returns the queue in which the call waits for its turn; nil: it does not wait.
func (c *incoming) queue() *call.Queue {
	switch {
	case c.use != nil:
		return c.use.queue
	case c.e.opts&Serial != 0:
		return &c.e.serial
	}
	return nil
}

// Execute runs a call of a chain, in its turn among all other calls of a Serial function.
func (c *incoming) Execute() {
	q := c.queue()
	if q == nil {
		c.run()
		return
	}
	done := make(chan struct{})
	q.Enqueue(func() {
		defer close(done)
		c.run()
	})
	<-done
}

// run runs the function and answers. A panic becomes the answer, and so does the end of
// the goroutine by runtime.Goexit.
func (c *incoming) run() {
	growStack()
	defer c.Release()
	answered := false
	defer func() {
		if v := recover(); v != nil {
			c.fail(newPanicError(v))
		} else if !answered {
			c.fail(call.ErrNoReturn)
		}
	}()
	if c.ctx.Err() != nil {
		c.fail(context.Cause(c.ctx))
	} else {
		c.e.serve(c)
	}
	answered = true
}

// newPanicError makes an error of a panic. The deferred function that recovered v calls
// it, while the stack is still that of the panic.
func newPanicError(v any) error {
	return core.NewPanicError(fmt.Sprint(v))
}

// Cancel ends the context of the call.
func (c *incoming) Cancel(cause error) { c.cancel(cause) }

// Skip answers a call of a chain of which an earlier one has failed.
func (c *incoming) Skip(first error) {
	c.fail(&chainError{first})
	c.Release()
}

// Failed returns the error with which the call was answered.
func (c *incoming) Failed() error { return c.failed }

// Release gives back the place that admit took. It is called exactly once.
func (c *incoming) Release() {
	if c.use != nil {
		c.use.release()
	}
	c.cancel(nil)
	if c.stop != nil {
		c.stop()
	}
	c.l.calls.Release(c.key())
}

// reply sends the result.
func (c *incoming) reply(body []byte) { c.answer(0, body) }

// fail sends an error instead.
func (c *incoming) fail(err error) {
	// The caller gave up, or its time ran out: that says more than the error which the
	// function made of it.
	switch ended := c.ctx.Err(); {
	case ended == nil:
	case errors.Is(err, context.Canceled):
		err = context.Cause(c.ctx)
	case ended == context.DeadlineExceeded && !errors.Is(err, ended):
		err = fmt.Errorf("%w: %w", ended, err)
	}
	c.failed = err
	c.answer(core.Dead, core.EncodeError(err))
}

// answer sends the answer. It waits for room toward the caller as long as this context
// lives. An answer that is too large is replaced by an error that says so. If an answer
// can't be sent for another reason, the caller is lost, and its own router has told it.
func (c *incoming) answer(flags core.Flags, body []byte) {
	if c.m.Reply == core.HandleNone {
		if flags&core.Dead != 0 {
			c.l.log.Warn("a call without a reply failed", "function", c.e.name, "caller", c.l.pathOf(c.m.Src), "err", c.failed)
		}
		return
	}
	err := c.l.router.Send(c.l.SendCtx, c.m.Src, c.m.Reply, core.HandleNone, flags, body)
	if errors.Is(err, ErrTooLarge) && flags&core.Dead == 0 {
		c.fail(err)
	}
}

// callContextKey is the key under which the ctx of a function holds the call.
type callContextKey struct{}

func callOf(ctx context.Context) *incoming {
	c, _ := ctx.Value(callContextKey{}).(*incoming)
	return c
}

// Self returns the node of the context in which a function runs. ctx must be the one that
// the function was given, or descend from it. Else Self panics.
func Self(ctx context.Context) *Node {
	c := callOf(ctx)
	if c == nil {
		panic("contexts: Self was called with a context.Context that no registered function was given")
	}
	return c.l.selfNode
}

// Caller returns the node of the context that called the function. Like [Self] it panics
// if ctx does not come from a call.
func Caller(ctx context.Context) *Node {
	c := callOf(ctx)
	if c == nil {
		panic("contexts: Caller was called with a context.Context that no registered function was given")
	}
	return c.l.node(c.m.Src)
}

// cancelCalls cancels the calls that run for a caller that was lost.
func (l *local) cancelCalls(src core.ID, err error) {
	for _, c := range l.calls.Of(src) {
		c.Cancel(err)
	}
}

// cancelCall tells a callee that the caller does not wait any more. It does not hold up
// the caller, whose own ctx has ended.
func (l *local) cancelCall(dst core.ID, reply core.Handle) {
	l.Background(func(ctx context.Context) {
		_ = l.router.Send(ctx, dst, core.HandleCall, reply, core.Cancel, nil)
	})
}
