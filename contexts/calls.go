package contexts

import (
	"fmt"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/tree"
	"github.com/mitosis-go/mitosis/core"
)

// callKey names a call under way at the side where it runs.
type callKey struct {
	src   core.ID
	reply core.Handle
}

// calls are those that run here for other contexts, and for this one. The zero value
// has none.
type calls struct {
	mu      sync.Mutex
	awaited map[callKey]*incoming // those that somebody waits for
	count   map[core.ID]int       // all, by their callers
	closing bool                  // no more are admitted
	running sync.WaitGroup        // one for each
}

// admit counts a call, of which one caller may have so many.
func (t *calls) admit(c *incoming, limit int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := callKey{c.m.Src, c.m.Reply}
	switch {
	case t.closing:
		return ErrClosed
	case t.count[key.src] >= limit:
		return fmt.Errorf("%w: %d calls of one context run at once", ErrBusy, limit)
	case key.reply != core.HandleNone && t.awaited[key] != nil:
		return core.ErrProtocol
	}
	if t.count == nil {
		t.count, t.awaited = make(map[core.ID]int), make(map[callKey]*incoming)
	}
	c.begin()
	t.count[key.src]++
	if key.reply != core.HandleNone {
		t.awaited[key] = c
	}
	t.running.Add(1)
	return nil
}

// end gives back what admit took.
func (t *calls) end(c *incoming) {
	t.mu.Lock()
	key := callKey{c.m.Src, c.m.Reply}
	if key.reply != core.HandleNone {
		delete(t.awaited, key)
	}
	if t.count[key.src]--; t.count[key.src] == 0 {
		delete(t.count, key.src)
	}
	t.mu.Unlock()
	t.running.Done()
}

// get returns a call that somebody waits for, nil if it is not there.
func (t *calls) get(key callKey) *incoming {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.awaited[key]
}

// of returns the calls that a context waits for.
func (t *calls) of(src core.ID) []*incoming {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count[src] == 0 {
		return nil
	}
	var all []*incoming
	for key, c := range t.awaited {
		if key.src == src {
			all = append(all, c)
		}
	}
	return all
}

// callers returns the contexts for which calls run here.
func (t *calls) callers() []core.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return idsOf(t.count)
}

// close has no more calls admitted.
func (t *calls) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closing = true
}

// wait waits until no call runs here. None starts any more: see close.
func (t *calls) wait(limit time.Duration) { tree.WaitFor(&t.running, limit) }
