package call

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/tree"
	"github.com/mitosis-go/mitosis/core"
)

// A Key names a call under way at the side where it runs.
type Key struct {
	Src   core.ID     // the caller
	Reply core.Handle // where the caller waits for the answer; HandleNone: it does not
}

// A Call is one that runs here.
type Call interface {
	// Begin makes the context of the call. Calls that are admitted can be cancelled
	// from then on.
	Begin()
	// Cancel ends that context.
	Cancel(cause error)
}

// Calls are those that run here for other contexts, and for this one. The zero value
// has none.
type Calls struct {
	mu      sync.Mutex
	awaited map[Key]Call    // calls that a caller waits for
	count   map[core.ID]int // all, by their callers
	closing bool            // no more are admitted
	running sync.WaitGroup  // one for each
}

// Admit counts a call, of which one caller may have so many, and has it begin.
func (t *Calls) Admit(key Key, c Call, limit int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closing:
		return core.ErrClosed
	case t.count[key.Src] >= limit:
		return fmt.Errorf("%w: %d calls of one context run at once", core.ErrBusy, limit)
	case key.Reply != core.HandleNone && t.awaited[key] != nil:
		return core.ErrProtocol
	}
	if t.count == nil {
		t.count, t.awaited = make(map[core.ID]int), make(map[Key]Call)
	}
	c.Begin()
	t.count[key.Src]++
	if key.Reply != core.HandleNone {
		t.awaited[key] = c
	}
	t.running.Add(1)
	return nil
}

// Release gives back the place that Admit took.
func (t *Calls) Release(key Key) {
	t.mu.Lock()
	if key.Reply != core.HandleNone {
		delete(t.awaited, key)
	}
	if t.count[key.Src]--; t.count[key.Src] == 0 {
		delete(t.count, key.Src)
	}
	t.mu.Unlock()
	t.running.Done()
}

// Get returns a call that a caller waits for, nil if it is not there.
func (t *Calls) Get(key Key) Call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.awaited[key]
}

// Of returns the calls that a context waits for.
func (t *Calls) Of(src core.ID) []Call {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count[src] == 0 {
		return nil
	}
	var all []Call
	for key, c := range t.awaited {
		if key.Src == src {
			all = append(all, c)
		}
	}
	return all
}

// Callers returns the contexts for which calls run here.
func (t *Calls) Callers() []core.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.count))
}

// Close has no more calls admitted.
func (t *Calls) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closing = true
}

// Wait waits until no call runs here, but no longer than limit. After Close no more
// start.
func (t *Calls) Wait(limit time.Duration) { tree.WaitFor(&t.running, limit) }
