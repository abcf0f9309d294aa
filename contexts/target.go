package contexts

import (
	"context"
	"errors"
	"fmt"

	"github.com/mitosis-go/mitosis/core"
)

// A Target is where work goes: a *Node; a *ManagedHost, which is connected where it is
// not; or, for the calls of a [Func], a *Chain.
type Target interface {
	fmt.Stringer // the path of hops

	// target connects where that is needed. The chain is nil where there is none.
	target(ctx context.Context) (*Node, *Chain, error)
}

func (n *Node) target(context.Context) (*Node, *Chain, error) { return n, nil, nil }

func (c *Chain) target(context.Context) (*Node, *Chain, error) { return c.n, c, nil }

func (h *ManagedHost) target(ctx context.Context) (*Node, *Chain, error) {
	n, err := h.Connect(ctx)
	return n, nil, err
}

// NodeOf returns the node that a target stands for at the moment: the node itself, or the
// context of a managed host, which is connected where it is not. A *Chain is refused: it
// orders calls, and what uses its node beside it would not be in that order.
func NodeOf(ctx context.Context, on Target) (*Node, error) {
	n, chain, err := targetOf(ctx, on)
	switch {
	case err != nil:
		return nil, err
	case chain != nil:
		return nil, &Error{Op: "use", Path: chain.String(), Kind: core.KindRefused, Err: errors.New("a chain takes only calls of a Func")}
	}
	return n, nil
}

// targetOf is the method of a target, for callers that may have given none.
func targetOf(ctx context.Context, on Target) (*Node, *Chain, error) {
	if on == nil {
		return nil, nil, errNoTarget
	}
	return on.target(ctx)
}

var errNoTarget = errors.New("contexts: no target given: nil is neither a node nor a managed host")
