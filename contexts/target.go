package contexts

import (
	"context"
	"errors"
	"fmt"

	"github.com/mitosis-go/mitosis/core"
)

// A Target is the place to which work goes: a *Node, or a *ManagedHost, which is connected
// if need be. For the calls of a [Func] it may also be a *Chain, and for those of a service's
// methods [Nearest].
type Target interface {
	fmt.Stringer // the path of hops

	// target returns the node, which it connects if need be, and the chain; nil: none. e is
	// the function that is to be called; nil: none.
	target(ctx context.Context, e *entry) (*Node, *Chain, error)
}

func (n *Node) target(context.Context, *entry) (*Node, *Chain, error) { return n, nil, nil }

func (c *Chain) target(context.Context, *entry) (*Node, *Chain, error) { return c.n, c, nil }

func (h *ManagedHost) target(ctx context.Context, _ *entry) (*Node, *Chain, error) {
	if h == nil {
		return nil, nil, errNoTarget
	}
	n, err := h.Connect(ctx)
	return n, nil, err
}

// NodeOf returns the node for which a target stands at the moment: the node itself, or the
// node of a managed host, which is connected if need be. A *Chain is refused: other uses of
// its node would not be in the order of the chain.
func NodeOf(ctx context.Context, on Target) (*Node, error) {
	n, chain, err := targetOf(ctx, on, nil)
	switch {
	case err != nil:
		return nil, err
	case chain != nil:
		return nil, &Error{Op: "use", Path: chain.String(), Kind: core.KindRefused, Err: errors.New("a chain takes only calls of a Func")}
	}
	return n, nil
}

// targetOf calls the method of a target that may be nil.
func targetOf(ctx context.Context, on Target, e *entry) (*Node, *Chain, error) {
	if on == nil {
		return nil, nil, errNoTarget
	}
	return on.target(ctx, e)
}

var errNoTarget = errors.New("contexts: no target given: nil is neither a node nor a managed host")
