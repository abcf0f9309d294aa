package contexts

import (
	"context"
	"sync"

	"github.com/mitosis-go/mitosis/contexts/internal/call"
	"github.com/mitosis-go/mitosis/core"
)

// A Chain sends calls of which each needs the one before, without waiting for results in
// between. So N dependent calls take one round trip. They run one after the other, in the
// order of their sending.
//
// When a call has failed, the later ones do not run, until Close. Their error wraps that
// of the first failure and matches [ErrChainBroken].
//
//	c := contexts.NewChain(node)
//	defer c.Close()
//	mkdir.Go(ctx, c, dir)
//	write.Go(ctx, c, file)
//	_, err := chown.Call(ctx, c, file) // an error of any of the three
//
// Several goroutines may use a Chain. Their calls then run in the order in which they
// reached it.
type Chain struct {
	n *Node

	// Guarded by mu. It is held while a call is handed to the router, so that calls are
	// numbered in the order of their sending.
	mu  sync.Mutex
	id  uint64 // of the chain at the far side; 0: it has no calls yet
	seq uint64 // the number of the next call
}

// NewChain makes a chain of calls to a node.
func NewChain(n *Node) *Chain { return &Chain{n: n} }

// String returns the path of the chain's node.
func (c *Chain) String() string { return c.n.String() }

// Close lets the far side forget the chain, with its failure if there was one. Calls that
// were sent before are not affected. A later call starts a new chain.
func (c *Chain) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id == 0 {
		return
	}
	end := call.ChainEnd{Chain: c.id, Calls: c.seq}
	c.id, c.seq = 0, 0
	l := c.n.self
	// If this cannot be sent, the node is gone and so is the chain.
	l.Tasks.Go(func() { _ = chainEndFunc.CallNoReply(l.Ctx, c.n, end) })
}

// sendCall numbers the call and hands it to the router.
func (c *Chain) sendCall(ctx context.Context, q call.Request, handle core.Handle) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.n.self
	if c.id == 0 {
		c.id = l.chains.NextID()
	}
	q.Chain, q.Seq = c.id, c.seq
	err := l.router.Send(ctx, c.n.id, core.HandleCall, handle, 0, q.Encode())
	if err == nil {
		c.seq++
	}
	return err
}

// chainEndFunc tells the far side that a chain has ended.
var chainEndFunc = NewFunc("mitosis.chain.end", func(ctx context.Context, end call.ChainEnd) (struct{}, error) {
	c := callOf(ctx)
	c.l.chains.OnEnd(c.m.Src, end)
	return struct{}{}, nil
}, AllowDescendants)

// chainError is the answer to a call that was skipped. first is the first failure of the
// chain.
type chainError struct{ first error }

func (e *chainError) Error() string   { return ErrChainBroken.Error() + ": " + e.first.Error() }
func (e *chainError) Unwrap() []error { return []error{ErrChainBroken, e.first} }
