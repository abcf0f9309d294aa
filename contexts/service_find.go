package contexts

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// Nearest is the target of calls of a service's methods to the nearest context that has the
// service: from itself, then its parent, and so on up to the master. A context has the
// service if it was started there, or registered there: see [Service.Register]. Nearest
// makes no object. If no context has the service, the error matches [ErrNotStarted].
//
// Each call asks anew, one context after the other, and so follows services that are
// started nearer by and those that are gone. [Service.Find] asks once.
//
// from is the local context or one below. Contexts in which the service has no method that
// is allowed to descendants don't count for those below.
func Nearest(from *Node) Target { return nearest{from} }

type nearest struct{ from *Node }

// String returns the path of the context from which the service is sought.
func (n nearest) String() string { return n.from.String() }

func (n nearest) target(ctx context.Context, e *entry) (*Node, *Chain, error) {
	if e == nil || e.method == nil {
		return nil, nil, &Error{Op: "find", Path: n.String(), Err: errNoService}
	}
	node, err := e.method.s.nearest(ctx, n.from)
	return node, nil, err
}

var errNoService = errors.New("Nearest is a target for methods of services only")

// nearest returns the node that Nearest(from) means.
func (s *service) nearest(ctx context.Context, from *Node) (*Node, error) {
	fail := func(err error) (*Node, error) {
		return nil, &Error{Op: "find " + s.name, Path: from.String(), Err: err}
	}
	if from == nil || from.self == nil {
		return fail(errOtherTree)
	}
	for _, n := range from.self.upFrom(from) {
		has, err := s.isAt(ctx, n)
		switch {
		case ctx.Err() != nil:
			return fail(context.Cause(ctx))
		case has && err == nil:
			return n, nil
		case err == nil, errors.Is(err, ErrRefused), errors.Is(err, ErrGone), errors.Is(err, ErrClosed):
		default:
			return fail(err)
		}
	}
	return fail(ErrNotStarted)
}

// upFrom returns a context and those above it that are known here, the nearest first.
func (l *local) upFrom(n *Node) (up []*Node) {
	line := append([]core.ID{l.id}, l.ancestors...)
	for range maxAncestors {
		if i := slices.Index(line, n.id); i >= 0 {
			for _, id := range line[i:] {
				up = append(up, l.node(id))
			}
			return up
		}
		up = append(up, n)
		if n = l.node(n.via); n.id == up[len(up)-1].id {
			return up
		}
	}
	return up
}

// isAt asks a context whether it has the service.
func (s *service) isAt(ctx context.Context, n *Node) (bool, error) {
	if l := n.self; n.id == l.id {
		return s.isIn(l), nil
	}
	return s.find.Call(ctx, n, struct{}{})
}

func (s *service) isIn(l *local) bool {
	h := s.known(l)
	return h != nil && (h.started() || h.passesTo() != nil)
}

// passesTo returns the context to which calls are passed on; nil: they use the object here.
func (h *home) passesTo() *Node {
	if h.started() {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.elsewhere; n != nil && n.Err() == nil {
		return n
	}
	return nil
}

// passOn makes the call in the context that is registered here, if it is one that is passed
// on. The argument and the result are passed as they travel: nobody is granted the nodes
// in them, for this context does not know what its caller may do.
func (c *incoming) passOn() bool {
	if c.use.to == nil {
		return false
	}
	call := outgoing{e: c.e, n: c.use.to}
	arg := encoded(c.q.Arg)
	call.sendCall(c.ctx, nil, nil, &arg)
	if call.reply != nil {
		if body, err := call.wait(c.ctx); err == nil {
			c.reply(body)
			return true
		}
	}
	c.fail(call.err)
	return true
}

// startOn makes the object in another context or in this one.
func (s *service) startOn(ctx context.Context, on Target) error {
	n, err := NodeOf(ctx, on)
	if err != nil {
		return err
	}
	if n != nil && n.self != nil && n.id == n.self.id {
		_, err = s.objectHere(ctx, n)
		return err
	}
	_, err = s.start.Call(ctx, n, struct{}{})
	return err
}

// objectHere returns the object in the local context.
func (s *service) objectHere(ctx context.Context, self *Node) (any, error) {
	if self == nil || self.self == nil || self.id != self.self.id {
		return nil, &Error{Op: "use " + s.name, Path: self.String(), Err: errNotHere}
	}
	err := s.checkMaking(ctx, self)
	if err == nil {
		var v any
		if v, err = s.in(self.self).get(ctx); err == nil {
			return v, nil
		}
	}
	return nil, &Error{Op: "use " + s.name, Path: self.String(), Err: err}
}

var errNotHere = errors.New("an object can be had in the local context only; call its methods")

// registerWith starts the service in one context and has another one know of it.
func (s *service) registerWith(ctx context.Context, with, at *Node) error {
	if at != nil {
		if err := s.startOn(ctx, at); err != nil {
			return err
		}
	}
	_, err := s.register.Call(ctx, with, at)
	return err
}

// registerIn has a context pass calls on.
func (s *service) registerIn(l *local, at *Node) error {
	if at != nil && l.router.Relation(at.id) != router.RelationDescendant {
		return fmt.Errorf("%w: %v is not below %v", ErrRefused, at, l.selfNode)
	}
	h := s.in(l)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.elsewhere = at
	return nil
}
