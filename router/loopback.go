package router

import (
	"sync"

	"github.com/mitosis-go/mitosis/core"
)

// loopback takes the place of a link for streams with both ends in the local context. The
// locks of the two ends must not be taken one within the other, so a goroutine delivers the
// frames. It runs while there are frames, and Close waits for it. Credit bounds their number.
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

// loop delivers frames until there are none.
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
