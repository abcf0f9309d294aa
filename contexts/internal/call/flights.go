package call

import (
	"context"
	"errors"
	"sync"
)

// Flights are runs of functions, each shared by all callers that ask for the same key while
// it is under way. Two runs for one key never overlap. The zero value has none.
type Flights struct {
	mu    sync.Mutex
	byKey map[string]*Flight // the newest for each key
}

// A Flight is one run. Its ctx ends when the last of its callers has left.
type Flight struct {
	// Immutable.
	of     *Flights
	key    string
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the run has ended

	// Guarded by Flights.mu.
	after   *Flight // an earlier run that must end before this one begins; nil: none
	callers int     // 0: no caller may join it any more
	begun   bool    // its function has been called

	// Set before done is closed.
	value any
	err   error
}

// Join takes part in the run for a key, which it starts if there is none. The run's ctx
// descends from base. A run whose callers have all left is not joined: the next one
// starts when it has ended.
//
// Each Join is followed by one Leave.
func (t *Flights) Join(key string, base context.Context, run func(context.Context) (any, error)) *Flight {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.byKey[key]
	if before != nil && before.callers > 0 {
		before.callers++
		return before
	}
	if before != nil && !before.begun {
		before = before.after // the one that was left will not begin any more
	}
	f := &Flight{of: t, key: key, after: before, done: make(chan struct{}), callers: 1}
	f.ctx, f.cancel = context.WithCancelCause(base)
	if t.byKey == nil {
		t.byKey = make(map[string]*Flight)
	}
	t.byKey[key] = f
	go f.fly(before, run)
	return f
}

// fly calls run, unless all callers have left before the earlier run has ended.
func (f *Flight) fly(after *Flight, run func(context.Context) (any, error)) {
	defer f.land()
	if after != nil {
		select {
		case <-after.done:
		case <-f.ctx.Done():
		}
	}
	f.of.mu.Lock()
	f.err = context.Cause(f.ctx)
	f.begun = f.err == nil
	f.of.mu.Unlock()
	if f.begun {
		f.err = ErrNoReturn // it stays if run does not return
		f.value, f.err = run(f.ctx)
	}
}

// ErrNoReturn is the error of a function that called runtime.Goexit.
var ErrNoReturn = errors.New("the function ended its goroutine and did not return")

func (f *Flight) land() {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	if f.of.byKey[f.key] == f {
		delete(f.of.byKey, f.key)
		if f.after != nil && !f.after.landed() {
			f.of.byKey[f.key] = f.after
		}
	}
	f.after = nil
	f.cancel(nil)
	close(f.done)
}

func (f *Flight) landed() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// Wait returns the result of the run. If ctx ends before, it returns the cause.
func (f *Flight) Wait(ctx context.Context) (any, error) {
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Leave takes a caller away from the run. When the last one leaves, the run's ctx ends
// with the cause.
func (f *Flight) Leave(cause error) {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	if f.callers--; f.callers == 0 {
		f.cancel(cause)
	}
}

// Callers returns the number of callers of all runs.
func (t *Flights) Callers() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.byKey {
		n += f.callers
	}
	return n
}
