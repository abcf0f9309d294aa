package contexts

import (
	"context"

	"github.com/mitosis-go/mitosis/connect"
)

// A Route is the way that one attempt to connect a managed host goes.
type Route struct {
	From   *Node // the context that makes the hop
	Method connect.Method
	// Done, if not nil, is called when the attempt has ended, with the node or the error. It
	// must not block.
	Done func(n *Node, err error)
}

// ManageBy returns the handle on a host to which each attempt to connect may go another way:
// from another context, or by another hop. label is the host's name in errors and logs.
//
// route is called before each attempt. It may wait for its turn until ctx ends, which
// happens with Close of the host. Its errors are those of an attempt: the host gives up, or
// route is called again after a pause.
func (n *Node) ManageBy(label string, route func(ctx context.Context) (Route, error), cfg *ManagedHostConfig) *ManagedHost {
	h := newHost(n.self, joinPath(n, label), n, nil, cfg)
	h.route = route
	return h
}

// Try is Connect for a caller with another way to go: if an attempt to connect the host has
// failed, it returns that error and does not wait for the next attempt.
func (h *ManagedHost) Try(ctx context.Context) (*Node, error) {
	return h.await(ctx, -1, func() bool { return true })
}
