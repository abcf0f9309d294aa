package contexts

import (
	"context"
	"sync"
	"time"
)

// lifetime is how long a local context goes on, and the goroutines that it waits for.
type lifetime struct {
	// Immutable after newLifetime.
	ctx     context.Context // ends when the context shuts down: calls, connects
	cancel  context.CancelCauseFunc
	sendCtx context.Context // ends when nothing can be sent any more
	endSend context.CancelFunc
	lost    chan struct{} // closed when the parent's link is lost, and that is the end

	lostOnce  sync.Once
	closeOnce sync.Once
	closeErr  error // set within closeOnce

	keeping      sync.WaitGroup // in a child: until its image is in the cache; orderly ends wait for it
	backgroundWG tasks          // close waits for them
}

func newLifetime() *lifetime {
	f := &lifetime{lost: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancelCause(context.Background())
	f.sendCtx, f.endSend = context.WithCancel(context.Background())
	return f
}

// isLost notes that the parent is lost, or wants an end.
func (f *lifetime) isLost() { f.lostOnce.Do(func() { close(f.lost) }) }

// background runs f in a goroutine that close waits for. Its context ends
// after a second, and when nothing can be sent any more.
func (f *lifetime) background(do func(ctx context.Context)) {
	f.backgroundWG.Go(func() {
		ctx, cancel := context.WithTimeout(f.sendCtx, time.Second)
		defer cancel()
		do(ctx)
	})
}

// tasks are goroutines that end soon after the contexts of a lifetime have.
type tasks struct {
	mu    sync.Mutex
	ended bool // Wait has been called
	wg    sync.WaitGroup
}

// Go runs f in a goroutine. Nobody waits for those that are started after Wait was
// called: they find everything ended, and so end at once.
func (t *tasks) Go(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		go f()
		return
	}
	t.wg.Go(f)
}

// Wait waits for all that were started.
func (t *tasks) Wait() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.wg.Wait()
}

// waitFor waits for a group, but no longer than limit.
func waitFor(wg *sync.WaitGroup, limit time.Duration) {
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
