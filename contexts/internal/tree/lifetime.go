package tree

import (
	"context"
	"sync"
	"time"
)

// Lifetime is how long a context goes on, and the goroutines that it waits for.
type Lifetime struct {
	// Immutable after NewLifetime.
	Ctx     context.Context         // ends when the context shuts down: calls and connects end with it
	Cancel  context.CancelCauseFunc // ends Ctx
	SendCtx context.Context         // ends when nothing can be sent any more
	EndSend context.CancelFunc      // ends SendCtx

	lost      chan struct{} // closed by Lose
	lostOnce  sync.Once
	closeOnce sync.Once
	closeErr  error // set within closeOnce

	Ends    Ends           // they end after Ctx, and before the contexts below
	keeping sync.WaitGroup // see Keep
	Tasks   Tasks          // Close of the context waits for them
}

// NewLifetime begins the lifetime of a context.
func NewLifetime() *Lifetime {
	f := &Lifetime{lost: make(chan struct{})}
	f.Ctx, f.Cancel = context.WithCancelCause(context.Background())
	f.SendCtx, f.EndSend = context.WithCancel(context.Background())
	return f
}

// Lose notes that the parent is lost, or wants an end.
func (f *Lifetime) Lose() { f.lostOnce.Do(func() { close(f.lost) }) }

// Lost is closed when the parent is lost, and no other takes its place.
func (f *Lifetime) Lost() <-chan struct{} { return f.lost }

// CloseOnce calls end the first time that it is called. It returns the error of that
// call each time.
func (f *Lifetime) CloseOnce(end func() error) error {
	f.closeOnce.Do(func() { f.closeErr = end() })
	return f.closeErr
}

// Keep runs f in a goroutine that WaitKept waits for: an orderly end of a child lets it
// complete.
func (f *Lifetime) Keep(do func()) { f.keeping.Go(do) }

// WaitKept waits for the goroutines of Keep, but no longer than limit.
func (f *Lifetime) WaitKept(limit time.Duration) { WaitFor(&f.keeping, limit) }

// Background runs do in a goroutine of Tasks. Its ctx ends after a second, and when
// nothing can be sent any more.
func (f *Lifetime) Background(do func(ctx context.Context)) {
	f.Tasks.Go(func() {
		ctx, cancel := context.WithTimeout(f.SendCtx, time.Second)
		defer cancel()
		do(ctx)
	})
}

// Tasks are goroutines that end soon after the contexts of a lifetime have. The zero
// value has none.
type Tasks struct {
	mu    sync.Mutex
	ended bool // Wait has been called
	wg    sync.WaitGroup
}

// Go runs f in a goroutine. Nobody waits for those that are started after Wait was
// called: they find everything ended, and so end at once.
func (t *Tasks) Go(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		go f()
		return
	}
	t.wg.Go(f)
}

// Wait waits for all goroutines that were started.
func (t *Tasks) Wait() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.wg.Wait()
}

// WaitFor waits for a group, but no longer than limit. Its goroutine ends with the group.
func WaitFor(wg *sync.WaitGroup, limit time.Duration) {
	idle := make(chan struct{})
	go func() {
		wg.Wait()
		close(idle)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}
