package contexts

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/call"
	"github.com/mitosis-go/mitosis/contexts/internal/tree"
)

// homes are the places of a service in the contexts of this process: most have one
// context.
type homes struct {
	mu  sync.Mutex
	all map[*local]*home
}

// home is a service in one context: the object, and the calls of its methods.
type home struct {
	// Immutable.
	s   *service
	l   *local
	end *tree.End

	serial call.Queue   // of Serial methods
	runs   call.Flights // of SingleFlight methods
	making call.Flights // of the object; their key is ""

	object atomic.Pointer[object] // nil: it is not made

	mu        sync.Mutex
	users     int           // calls, runs and makings that are under way
	idle      chan struct{} // closed when there are none; nil: nobody waits for that
	closing   bool          // no more users
	elsewhere *Node         // the context that is registered here and has the object; nil: none
}

// object is a service's object with its type erased. Immutable.
type object struct {
	value any
	end   context.CancelCauseFunc // of the ctx with which it was made
}

// in returns the home of the service in a context. It makes one if there is none.
func (s *service) in(l *local) *home {
	s.homes.mu.Lock()
	defer s.homes.mu.Unlock()
	if h := s.homes.all[l]; h != nil {
		return h
	}
	h := &home{s: s, l: l}
	h.end = &tree.End{Do: h.close}
	if !l.Ends.Add(h.end) {
		h.closing = true // it is one that nobody keeps
		return h
	}
	if s.homes.all == nil {
		s.homes.all = make(map[*local]*home)
	}
	s.homes.all[l] = h
	return h
}

// known returns the home of the service in a context, nil if there is none.
func (s *service) known(l *local) *home {
	s.homes.mu.Lock()
	defer s.homes.mu.Unlock()
	return s.homes.all[l]
}

// started reports whether the object is made, or is being made for somebody.
func (h *home) started() bool { return h.object.Load() != nil || h.making.Callers() > 0 }

// enter counts a user of the object. It returns false if the object is closed or will be
// at once. Each true is followed by one leave.
func (h *home) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		return false
	}
	h.users++
	return true
}

func (h *home) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users--; h.users == 0 && h.idle != nil {
		close(h.idle)
		h.idle = nil
	}
}

// withSelf returns a ctx that Self takes although it comes from no call. u may be nil.
func (h *home) withSelf(ctx context.Context, u *use) context.Context {
	c := &incoming{l: h.l, use: u}
	c.m.Src = h.l.id
	return context.WithValue(ctx, callContextKey{}, c)
}

// join returns the making of the object, which it starts if need be. It returns nil if the
// object is made.
func (h *home) join() *call.Flight {
	if h.object.Load() != nil {
		return nil
	}
	return h.making.Join("", h.l.Ctx, h.makeObject)
}

// await returns the object, once the making that join returned has ended.
func (h *home) await(ctx context.Context, making *call.Flight) (any, error) {
	if making != nil {
		return making.Wait(ctx)
	}
	return h.object.Load().value, nil
}

// get returns the object. It makes one if there is none.
func (h *home) get(ctx context.Context) (any, error) {
	if !h.enter() {
		return nil, errShutdown
	}
	defer h.leave()
	making := h.join()
	if making != nil {
		defer func() { making.Leave(causeOf(ctx)) }()
	}
	return h.await(ctx, making)
}

// causeOf returns why a caller has left.
func causeOf(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return context.Canceled
}

// makeObject makes the object. When ctx ends, that of the object ends, too, until the object
// is made.
func (h *home) makeObject(ctx context.Context) (any, error) {
	if !h.enter() {
		return nil, errShutdown
	}
	defer h.leave()
	if o := h.object.Load(); o != nil {
		return o.value, nil
	}
	life, end := context.WithCancelCause(h.withSelf(h.l.Ctx, &use{h: h, making: true}))
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	v, err := h.newObject(life)
	wanted := stop()
	switch {
	case err == nil && wanted:
		h.object.Store(&object{v, end})
		h.l.Ends.MoveLast(h.end)
		return v, nil
	case err == nil: // it has come too late
		err = causeOf(ctx)
		end(err)
		h.closeObject(v, h.l.cfg.CloseTimeout/2)
	}
	end(err)
	return nil, fmt.Errorf("service %q: %w", h.s.name, err)
}

// newObject calls the function of the user. A panic becomes the error.
func (h *home) newObject(ctx context.Context) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = newPanicError(p)
		}
	}()
	return h.s.newObject(ctx, h.l.selfNode)
}

// close ends the object when its context ends, whose ctx has ended before.
func (h *home) close(limit time.Duration) {
	deadline := time.Now().Add(limit)
	idle := h.awaitUsers(limit / 2)
	h.s.homes.mu.Lock()
	delete(h.s.homes.all, h.l)
	h.s.homes.mu.Unlock()
	if !idle {
		h.l.log.Warn("methods of a service have not returned although their calls were cancelled; its object is closed nevertheless", "service", h.s.name)
	}
	if o := h.object.Load(); o != nil {
		o.end(errShutdown)
		h.closeObject(o.value, time.Until(deadline))
	}
}

// awaitUsers waits until nobody uses the object, and lets nobody use it from then on. It
// reports false if limit has passed before.
func (h *home) awaitUsers(limit time.Duration) bool {
	h.mu.Lock()
	idle := make(chan struct{})
	if h.idle = idle; h.users == 0 {
		h.idle = nil
		close(idle)
	}
	h.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closing = true
	return h.users == 0
}

// closeObject closes an object, and waits no longer than limit. The goroutine of a Close
// that takes longer is left running.
func (h *home) closeObject(v any, limit time.Duration) {
	if v == nil || !closes(reflect.TypeOf(v)) {
		return
	}
	ctx, cancel := context.WithTimeout(h.withSelf(context.Background(), nil), limit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := call.ErrNoReturn
		defer func() { done <- err }()
		err = closeValue(ctx, v)
	}()
	select {
	case err := <-done:
		if err != nil {
			h.l.log.Warn("the object of a service was closed with an error", "service", h.s.name, "err", err)
		}
	case <-ctx.Done():
		h.l.log.Warn("the object of a service did not close in time", "service", h.s.name, "limit", limit.Round(time.Millisecond))
	}
}

// These are the forms of Close that an object may have.
type (
	closerWithin interface{ Close(context.Context) error }
	closerSilent interface{ Close() }
)

// closes reports whether values of a type have one of them.
func closes(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[io.Closer]()) || t.Implements(reflect.TypeFor[closerWithin]()) || t.Implements(reflect.TypeFor[closerSilent]())
}

// closeValue calls Close. A panic becomes the error.
func closeValue(ctx context.Context, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = newPanicError(p)
		}
	}()
	switch c := v.(type) {
	case io.Closer:
		return c.Close()
	case closerWithin:
		return c.Close(ctx)
	case closerSilent:
		c.Close()
	}
	return nil
}
