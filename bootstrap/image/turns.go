package image

import (
	"context"
	"sync"
)

// packing gives one processor to all images that are packed at the same time.
var packing = newTurns()

// turns has each packing do a piece of its work in turn. While a connect waits for one, those
// in the background rest: on a busy machine a connect would wait for each of their pieces.
type turns struct {
	mu      sync.Mutex
	changed sync.Cond // signals busy and urgent, and the end of a context
	busy    bool      // somebody has the turn
	urgent  int       // packings that a connect waits for
}

func newTurns() *turns {
	t := &turns{}
	t.changed.L = &t.mu
	return t
}

// enter announces a packing. leave must be called at its end.
func (t *turns) enter(ctx context.Context, e effort) (leave func()) {
	stop := context.AfterFunc(ctx, t.wake)
	t.addUrgent(e, 1)
	return func() {
		stop()
		t.addUrgent(e, -1)
	}
}

func (t *turns) addUrgent(e effort, n int) {
	if e != fast {
		return
	}
	t.mu.Lock()
	t.urgent += n
	t.mu.Unlock()
	t.changed.Broadcast()
}

// wake has those who wait look at their contexts.
func (t *turns) wake() {
	t.mu.Lock() // or a waiter that has just looked would miss the signal
	defer t.mu.Unlock()
	t.changed.Broadcast()
}

// turn waits for the turn and does a piece of work. When ctx ends before, it returns the cause.
func (t *turns) turn(ctx context.Context, e effort, work func() error) error {
	t.mu.Lock()
	for ctx.Err() == nil && (t.busy || e != fast && t.urgent > 0) {
		t.changed.Wait()
	}
	if ctx.Err() != nil {
		t.mu.Unlock()
		return context.Cause(ctx)
	}
	t.busy = true
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.busy = false
		t.mu.Unlock()
		t.changed.Broadcast()
	}()
	return work()
}
