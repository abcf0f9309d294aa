package tree

import "sync"

// Leftovers are files that must not outlive the context, with the functions that remove
// them. An orderly end of a process does not wait for the calls that made them. The zero
// value has none.
type Leftovers struct {
	mu    sync.Mutex
	next  uint64
	all   map[uint64]func()
	ended bool // Remove has been called
}

// Add has remove called when the context shuts down, or at once where it already does,
// unless forget is called before. remove may run while the maker of the file does the
// same.
func (o *Leftovers) Add(remove func()) (forget func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		remove()
		return func() {}
	}
	if o.all == nil {
		o.all = make(map[uint64]func())
	}
	o.next++
	id := o.next
	o.all[id] = remove
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.all, id)
	}
}

// Remove calls all functions that Add was given.
func (o *Leftovers) Remove() {
	o.mu.Lock()
	all := o.all
	o.all, o.ended = nil, true
	o.mu.Unlock()
	for _, remove := range all {
		remove()
	}
}
