package tree

import (
	"sync"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// maxFarSides bounds how many far sides are remembered. One takes a few hundred
// bytes.
const maxFarSides = 1024

// FarSides remember the hosts at the end of hops that were made from here, by the labels of
// the hops, as long as this context lives. The next connect to one of them can start
// without asking. By then the memory may be wrong. The zero value remembers none.
type FarSides struct {
	mu     sync.Mutex
	all    map[string]*FarSide
	latest *bootstrap.Facts // of the last far side that was noted; nil before
}

// A FarSide describes the host at the end of a hop. Immutable.
type FarSide struct {
	Facts  bootstrap.Facts
	Method string // by which a child was started; "": the next connect must wait for the far side
}

// Get returns the far side of a hop, nil if it is not known.
func (f *FarSides) Get(label string) *FarSide {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[label]
}

// Likely returns the facts of the last far side: others are often alike. It returns nil if
// there was none.
func (f *FarSides) Likely() *bootstrap.Facts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.latest
}

// Note learns from a connect. A connect without a session has failed: the far side is
// forgotten.
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
		known.Method = "" // the child was not started from the image that would be sent at once
	}
	f.all[label] = known
	f.latest = &known.Facts
}
