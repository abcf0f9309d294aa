package router

import (
	"sync"

	"github.com/mitosis-go/mitosis/core"
)

// loopback is what takes the place of a link for streams with both ends in the
// local context: their locks must not be taken one within the other. What is
// in it is bounded by credit. Its goroutine lives while there are frames.
type loopback struct {
	mu      sync.Mutex
	frames  []*core.Frame
	running bool
}

func (b *loopback) put(r *Router, f *core.Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.frames = append(b.frames, f)
	if !b.running {
		b.running = true
		r.asks.Add(1)
		go b.loop(r)
	}
}

func (b *loopback) loop(r *Router) {
	defer r.asks.Done()
	for {
		b.mu.Lock()
		frames := b.frames
		b.frames = nil
		if len(frames) == 0 {
			b.running = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		for _, f := range frames {
			r.dispatch(r.routes.Load(), f, nil)
		}
	}
}
