package contexts

import (
	"context"
	"sync"

	"github.com/mitosis-go/mitosis/core"
)

// A Chain sends calls to one node without waiting for one before the next:
// they run there one after the other in the order in which they were sent,
// and after the first that fails, each later one fails without running, with
// an error that wraps the first (and matches [ErrChainBroken]), until Reset.
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

func (c *Chain) target(context.Context) (*Node, *Chain, error) { return c.n, c, nil }

// Reset forgets the failure: calls sent after it run again. Calls that were
// sent before it are not affected.
func (c *Chain) Reset() { c.Close() }

// Close lets the far side forget the chain. A later call starts a new one.
func (c *Chain) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id == 0 {
		return
	}
	end := chainEnd{Chain: c.id, Calls: c.seq}
	c.id, c.seq = 0, 0
	// If this cannot be sent, the node is gone and so is the chain.
	go func() { _ = chainEndFunc.Send(c.n.self.ctx, c.n, end) }()
}

// send numbers the call and hands it to the router.
func (c *Chain) send(ctx context.Context, call *outgoing, q request, handle core.Handle) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.n.self
	if c.id == 0 {
		c.id = l.chainIDs.Add(1)
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

// chainState is a chain at the side where its calls run. Guarded by
// local.chainMu.
type chainState struct {
	next    uint64               // the number of the call whose turn it is
	running bool                 // it runs now
	waiting map[uint64]*incoming // later ones
	err     error                // the first failure
	calls   uint64               // how many there will be; set by the end
	ended   bool
}

// enqueueChained runs c when its turn has come. Messages can overtake each
// other where one is large, which is why calls of a chain carry numbers.
func (l *local) enqueueChained(c *incoming) error {
	key := chainKey{c.m.Src, c.q.chain}
	l.chainMu.Lock()
	defer l.chainMu.Unlock()
	s := l.chains[key]
	if s == nil {
		if l.chainCount[key.src] >= maxChains {
			return ErrBusy
		}
		s = &chainState{waiting: make(map[uint64]*incoming)}
		l.chains[key] = s
		l.chainCount[key.src]++
	}
	if c.q.seq < s.next || s.waiting[c.q.seq] != nil {
		return core.ErrProtocol
	}
	if len(s.waiting) >= maxChainWaiting {
		return ErrBusy
	}
	s.waiting[c.q.seq] = c
	l.advanceLocked(key, s)
	return nil
}

// advanceLocked starts the call whose turn it is, if it is there.
func (l *local) advanceLocked(key chainKey, s *chainState) {
	if s.running {
		return
	}
	if s.ended && s.next >= s.calls {
		delete(l.chains, key)
		if l.chainCount[key.src]--; l.chainCount[key.src] <= 0 {
			delete(l.chainCount, key.src)
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
		l.chainMu.Lock()
		defer l.chainMu.Unlock()
		if s.err == nil {
			s.err = c.failed
		}
		s.running = false
		s.next++
		if l.chains[key] == s {
			l.advanceLocked(key, s)
		}
	}()
}

// endChain handles a chainEnd.
func (l *local) endChain(src core.ID, end chainEnd) {
	key := chainKey{src, end.Chain}
	l.chainMu.Lock()
	defer l.chainMu.Unlock()
	if s := l.chains[key]; s != nil {
		s.ended, s.calls = true, end.Calls
		l.advanceLocked(key, s)
	}
}

// dropChains forgets what a lost caller left behind.
func (l *local) dropChains(src core.ID) {
	l.chainMu.Lock()
	defer l.chainMu.Unlock()
	if l.chainCount[src] == 0 {
		return
	}
	delete(l.chainCount, src)
	for key, s := range l.chains {
		if key.src == src {
			for _, c := range s.waiting {
				c.end()
			}
			delete(l.chains, key)
		}
	}
}

// chainError is the answer to a call that was skipped.
type chainError struct{ first error }

func (e *chainError) Error() string   { return ErrChainBroken.Error() + ": " + e.first.Error() }
func (e *chainError) Unwrap() []error { return []error{ErrChainBroken, e.first} }
