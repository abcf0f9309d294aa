package contexts

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/mitosis-go/mitosis/core"
)

// A Chain sends calls to one node without waiting for one before the next:
// they run there one after the other in the order in which they were sent,
// and after the first that fails, each later one fails without running, with
// an error that wraps the first (and matches [ErrChainBroken]), until Close.
// N dependent calls so take one round trip.
//
//	c := contexts.NewChain(node)
//	defer c.Close()
//	mkdir.Go(ctx, c, dir)
//	write.Go(ctx, c, file)
//	_, err := chown.Call(ctx, c, file) // tells about all three
//
// A Chain may be used by several goroutines; the order is then that in which
// their calls reached it.
type Chain struct {
	n *Node

	// Guarded by mu, which is held while a call is handed to the router, so
	// that numbers are given in the order of sending.
	mu  sync.Mutex
	id  uint64
	seq uint64
}

// NewChain makes a chain of calls on a node.
func NewChain(n *Node) *Chain { return &Chain{n: n} }

// String returns the path of the chain's node.
func (c *Chain) String() string { return c.n.String() }

// Close lets the far side forget the chain, and with it the failure, if there was one.
// Calls that were sent before are not affected; a later call starts a new chain.
func (c *Chain) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id == 0 {
		return
	}
	end := chainEnd{Chain: c.id, Calls: c.seq}
	c.id, c.seq = 0, 0
	l := c.n.self
	// If this cannot be sent, the node is gone and so is the chain.
	l.Tasks.Go(func() { _ = chainEndFunc.CallNoReply(l.Ctx, c.n, end) })
}

// send numbers the call and hands it to the router.
func (c *Chain) send(ctx context.Context, call *outgoing, q request, handle core.Handle) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.n.self
	if c.id == 0 {
		c.id = l.chains.ids.Add(1)
	}
	q.chain, q.seq = c.id, c.seq
	err := l.router.Send(ctx, c.n.id, core.HandleCall, handle, 0, q.encode())
	if err == nil {
		c.seq++
	}
	return err
}

// chainEnd tells the far side that a chain had so many calls and no more.
type chainEnd struct {
	_     struct{} `cbor:",toarray"`
	Chain uint64
	Calls uint64
}

// chainKey names a chain at its far side.
type chainKey struct {
	src core.ID
	id  uint64
}

// The bounds of what a caller can make us hold.
const (
	maxChains       = 1024 // chains of one caller
	maxChainWaiting = 4096 // calls of one chain that wait for their turn
)

// chains are those of other contexts, whose calls run here, and the numbers of those
// that this one has elsewhere. The zero value has none.
type chains struct {
	ids atomic.Uint64 // the last that was given to a chain from here

	mu    sync.Mutex
	all   map[chainKey]*chainState
	count map[core.ID]int // by their callers
}

// chainState is a chain at the side where its calls run. Guarded by chains.mu.
type chainState struct {
	next    uint64               // the number of the call whose turn it is
	running bool                 // it runs now
	waiting map[uint64]*incoming // later ones
	err     error                // the first failure
	calls   uint64               // how many there will be; set by the end
	ended   bool
}

// enqueue runs c when its turn has come. Messages can overtake each
// other where one is large, which is why calls of a chain carry numbers.
func (t *chains) enqueue(c *incoming) error {
	key := chainKey{c.m.Src, c.q.chain}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.all[key]
	if s == nil {
		if t.count[key.src] >= maxChains {
			return ErrBusy
		}
		if t.all == nil {
			t.all, t.count = make(map[chainKey]*chainState), make(map[core.ID]int)
		}
		s = &chainState{waiting: make(map[uint64]*incoming)}
		t.all[key] = s
		t.count[key.src]++
	}
	if c.q.seq < s.next || s.waiting[c.q.seq] != nil {
		return core.ErrProtocol
	}
	if len(s.waiting) >= maxChainWaiting {
		return ErrBusy
	}
	s.waiting[c.q.seq] = c
	t.advanceLocked(key, s)
	return nil
}

// advanceLocked starts the call whose turn it is, if it is there.
func (t *chains) advanceLocked(key chainKey, s *chainState) {
	if s.running {
		return
	}
	if s.ended && s.next >= s.calls {
		delete(t.all, key)
		if t.count[key.src]--; t.count[key.src] <= 0 {
			delete(t.count, key.src)
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
		if broken != nil {
			c.fail(&chainError{broken})
			c.end()
		} else {
			c.run()
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if s.err == nil {
			s.err = c.failed
		}
		s.running = false
		s.next++
		if t.all[key] == s {
			t.advanceLocked(key, s)
		}
	}()
}

// end handles a chainEnd.
func (t *chains) end(src core.ID, end chainEnd) {
	key := chainKey{src, end.Chain}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.all[key]; s != nil {
		s.ended, s.calls = true, end.Calls
		t.advanceLocked(key, s)
	}
}

// drop forgets what a lost caller left behind.
func (t *chains) drop(src core.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count[src] == 0 {
		return
	}
	delete(t.count, src)
	for key, s := range t.all {
		if key.src == src {
			for _, c := range s.waiting {
				c.end()
			}
			delete(t.all, key)
		}
	}
}

// callers returns the contexts that have chains here.
func (t *chains) callers() []core.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return idsOf(t.count)
}

// chainError is the answer to a call that was skipped.
type chainError struct{ first error }

func (e *chainError) Error() string   { return ErrChainBroken.Error() + ": " + e.first.Error() }
func (e *chainError) Unwrap() []error { return []error{ErrChainBroken, e.first} }
