package contexts

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/mitosis-go/mitosis/core"
)

// nodes are the handles on contexts. They are kept for as long as their context is
// there or somebody waits on a handle, so that Done works. The zero value has none.
type nodes struct {
	mu  sync.Mutex
	all map[core.ID]*Node
}

// add makes the handle on a context, or returns the one there is.
func (t *nodes) add(self *local, id, via core.ID, path string) *Node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.all[id]
	if n == nil {
		n = &Node{self: self, id: id, via: via, path: path, life: &life{done: make(chan struct{})}}
		if t.all == nil {
			t.all = make(map[core.ID]*Node)
		}
		t.all[id] = n
	}
	return n
}

// get returns the handle on a context, nil where there is none.
func (t *nodes) get(id core.ID) *Node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[id]
}

// ids returns the contexts on which there is a handle.
func (t *nodes) ids() []core.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.all))
}

// lose ends the handle on a context, and forgets it unless it is kept.
func (t *nodes) lose(id core.ID, keep bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.all[id]
	if !keep {
		delete(t.all, id)
	}
	if n == nil || n.Err() != nil {
		return
	}
	// The reason of a loss further down is what another router says, which
	// matches nothing.
	if err == nil {
		err = ErrGone
	} else if !errors.Is(err, ErrClosed) && !errors.Is(err, ErrGone) {
		err = &Error{Kind: core.KindGone, Err: err}
	}
	lost := &Error{Op: "link", Path: n.String(), Kind: core.KindGone, Err: err}
	if errors.Is(err, ErrClosed) {
		lost.Kind = core.KindClosed
	}
	n.life.err = lost
	close(n.life.done)
}
