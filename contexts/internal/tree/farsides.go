package tree

import (
	"sync"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// maxFarSides bounds how many far sides are remembered. One takes a few hundred
// bytes.
const maxFarSides = 1024

// FarSides remember the hosts at the end of hops that were made from here, by
// their labels, for as long as this context lives: the next connect to one of them
// can start without asking. What is remembered may be wrong by then.
type FarSides struct {
	mu     sync.Mutex
	all    map[string]*FarSide
	latest *bootstrap.Facts // of the last far side that was noted; nil before
}

// A FarSide is what is known of the host at the end of a hop. Immutable.
type FarSide struct {
	Facts  bootstrap.Facts
	Method string // by which a child was started; "" where it is better to wait for the far side
}

// Get returns what is known, nil if nothing is.
func (f *FarSides) Get(label string) *FarSide {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[label]
}

// Likely returns what the last far side was like, nil if there was none.
func (f *FarSides) Likely() *bootstrap.Facts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.latest
}

// Note learns from a connect; without a session it has failed, and what was known
// is not to be relied on.
func (f *FarSides) Note(label string, s *bootstrap.Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s == nil {
		delete(f.all, label)
		return
	}
	if s.Facts.Machine == "" {
		return // it was started before there were facts
	}
	if f.all == nil {
		f.all = make(map[string]*FarSide)
	}
	if _, known := f.all[label]; !known && len(f.all) >= maxFarSides {
		for other := range f.all {
			delete(f.all, other)
			break
		}
	}
	known := &FarSide{Facts: s.Facts, Method: s.StartMethod}
	if s.Lost || s.Static {
		known.Method = "" // what would be sent at once is not what it was started from
	}
	f.all[label] = known
	f.latest = &known.Facts
}
