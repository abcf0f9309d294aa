package contexts

import "sync"

// leftovers are the things in the file system that must not outlive the
// context, with what removes them. An orderly end of a process does not wait
// for the functions that made them.
type leftovers struct {
	mu    sync.Mutex
	next  uint64
	all   map[uint64]func()
	ended bool // removeLeftovers has been called
}

// atEnd has f called when the context shuts down, or at once where it already
// does, unless forget is called before. f may run while the maker of the thing
// does the same.
func (l *local) atEnd(f func()) (forget func()) {
	o := &l.leftovers
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		f()
		return func() {}
	}
	if o.all == nil {
		o.all = make(map[uint64]func())
	}
	o.next++
	id := o.next
	o.all[id] = f
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.all, id)
	}
}

// removeLeftovers calls what atEnd was given.
func (l *local) removeLeftovers() {
	o := &l.leftovers
	o.mu.Lock()
	all := o.all
	o.all, o.ended = nil, true
	o.mu.Unlock()
	for _, f := range all {
		f()
	}
}
