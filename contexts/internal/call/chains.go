package call

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mitosis-go/mitosis/core"
)

// ChainKey names a chain at the side where its calls run.
type ChainKey struct {
	Src core.ID // the caller
	ID  uint64
}

// ChainEnd tells that side that a chain had so many calls and no more.
type ChainEnd struct {
	_     struct{} `cbor:",toarray"`
	Chain uint64
	Calls uint64
}

// A Turn is a call of a chain. Either Execute or Skip or Release is called, once.
type Turn interface {
	// Execute runs the call, answers it, and releases it.
	Execute()
	// Skip answers the call with the first failure of its chain, and releases it.
	Skip(first error)
	// Release gives the call up without an answer.
	Release()
	// Failed returns the error with which the call was answered, nil if with none.
	Failed() error
}

// The bounds of the chains that a caller can make us hold.
const (
	maxChains       = 1024 // chains of one caller
	maxChainWaiting = 4096 // calls of one chain that wait for their turn
)

// Chains are those of other contexts, whose calls run here, and the numbers of those
// that this context has elsewhere. The zero value has none.
type Chains struct {
	last atomic.Uint64 // the last number that was given to a chain from here

	mu    sync.Mutex
	all   map[ChainKey]*chain
	count map[core.ID]int // by their callers
}

// chain is one at the side where its calls run. Guarded by Chains.mu.
type chain struct {
	next    uint64          // the number of the call whose turn it is
	running bool            // it runs now
	waiting map[uint64]Turn // later ones
	err     error           // the first failure
	calls   uint64          // how many there will be; set by the end
	ended   bool
}

// NextID returns a number for a chain that has its calls run elsewhere.
func (t *Chains) NextID() uint64 { return t.last.Add(1) }

// Enqueue runs the call with a number when its turn has come. Messages can overtake each
// other where one is large, which is why calls of a chain carry numbers.
func (t *Chains) Enqueue(key ChainKey, seq uint64, c Turn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.all[key]
	if s == nil {
		if t.count[key.Src] >= maxChains {
			return core.ErrBusy
		}
		if t.all == nil {
			t.all, t.count = make(map[ChainKey]*chain), make(map[core.ID]int)
		}
		s = &chain{waiting: make(map[uint64]Turn)}
		t.all[key] = s
		t.count[key.Src]++
	}
	if seq < s.next || s.waiting[seq] != nil {
		return core.ErrProtocol
	}
	if len(s.waiting) >= maxChainWaiting {
		return core.ErrBusy
	}
	s.waiting[seq] = c
	t.advanceLocked(key, s)
	return nil
}

// advanceLocked starts the call whose turn it is, if it is there. Its goroutine ends with
// the call, which is one of Calls.
func (t *Chains) advanceLocked(key ChainKey, s *chain) {
	if s.running {
		return
	}
	if s.ended && s.next >= s.calls {
		delete(t.all, key)
		if t.count[key.Src]--; t.count[key.Src] <= 0 {
			delete(t.count, key.Src)
		}
		return
	}
	c := s.waiting[s.next]
	if c == nil {
		return
	}
	delete(s.waiting, s.next)
	s.running = true
	broken := s.err
	go func() {
		defer t.passed(key, s, c) // even if the call has ended the goroutine
		if broken != nil {
			c.Skip(broken)
		} else {
			c.Execute()
		}
	}()
}

// passed gives the turn to the next call of a chain.
func (t *Chains) passed(key ChainKey, s *chain, c Turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.err == nil {
		s.err = c.Failed()
	}
	s.running = false
	s.next++
	if t.all[key] == s {
		t.advanceLocked(key, s)
	}
}

// OnEnd handles the end of a chain.
func (t *Chains) OnEnd(src core.ID, end ChainEnd) {
	key := ChainKey{src, end.Chain}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.all[key]; s != nil {
		s.ended, s.calls = true, end.Calls
		t.advanceLocked(key, s)
	}
}

// Drop forgets the chains of a lost caller.
func (t *Chains) Drop(src core.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count[src] == 0 {
		return
	}
	delete(t.count, src)
	for key, s := range t.all {
		if key.Src == src {
			for _, c := range s.waiting {
				c.Release()
			}
			delete(t.all, key)
		}
	}
}

// Callers returns the contexts that have chains here.
func (t *Chains) Callers() []core.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.count))
}
