package router

import (
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// dispatch takes a frame to its destination. Where it can't, it answers the sender. l is the
// link that the frame came over, nil: it is from the local context.
//
// Only dispatch decides what becomes of a frame. deliver and forward take the frame, or return
// why they don't, and then bounce makes an answer. An answer is never dispatched.
func (r *Router) dispatch(t *routes, f *core.Frame, l *Link) {
	var why *refusal
	if f.Dst == t.self {
		why = r.deliver(t, f, l)
	} else {
		why = l.forward(t, f)
	}
	if why == nil {
		return
	}
	if why == errRefused && l != nil {
		l.violation(f, "its sender has no right to this")
	}
	r.bounce(f, l, why)
}

// deliver takes a frame to its handle in the local context.
func (r *Router) deliver(t *routes, f *core.Frame, l *Link) *refusal {
	rel, adjacent := RelationSelf, false
	if l != nil {
		adjacent = f.Src == l.peer
		rel = r.relationOf(t, f)
	}
	v := decide(rel, adjacent, f.Handle, f.Flags)
	switch {
	case v == verdictRefuse:
		return errRefused
	case f.Handle >= core.FirstDynamic:
		return r.toEndpoint(f, l)
	case f.Handle == core.HandleMore:
		r.partials.more(f, l, rel)
	case servedByRouter(f.Handle):
		r.serve(f, l, v)
	case r.handlers[f.Handle] == nil:
		return errRefused
	default:
		m := Message{Header: f.Header, Relation: rel, Rights: RightsLimited, from: l}
		if v == verdictFull {
			m.Rights = RightsFull
		}
		if f.Flags&core.First != 0 {
			r.partials.start(f, l, m)
			return nil
		}
		m.Body = f.TakeBody()
		r.handlers[m.Handle](m)
	}
	return nil
}

// relationOf returns the weaker of the relations of a frame's source and authority to the
// local context. Nothing depends on it for a dynamic handle, so frames of streams are spared
// the search.
func (r *Router) relationOf(t *routes, f *core.Frame) Relation {
	if f.Handle >= core.FirstDynamic {
		return RelationStranger
	}
	rel := t.relation(f.Src)
	if f.Auth != f.Src {
		rel = weaker(rel, t.relation(f.Auth))
	}
	return rel
}

// complete hands a whole message to its handler or endpoint.
func (r *Router) complete(m Message) {
	if m.Handle >= core.FirstDynamic {
		r.endpoints.complete(m)
		return
	}
	if h := r.handlers[m.Handle]; h != nil {
		h(m)
	}
}

// serve takes frames for the router itself.
func (r *Router) serve(f *core.Frame, l *Link, v verdict) {
	defer f.Release()
	if l == nil {
		return // the local context has other ways to talk to its router
	}
	if rate := float64(r.limits.ControlRate); !l.parent && !l.input.control.Take(time.Now(), 1, rate, 10*rate) {
		l.cutOff("too many control frames per second")
		return
	}
	switch f.Handle {
	case core.HandlePing:
		l.onPing(f.Body)
	case core.HandlePong:
		l.onPong(f.Body)
	case core.HandleRoute:
		r.onRoute(l, f.Body)
	case core.HandleIDs:
		r.onIDs(l, f.Header, f.Body)
	case core.HandleGrant:
		r.onGrant(f.Body)
	case core.HandleRoot:
		if r.onRoot != nil {
			r.onRoot(r, f.Src, f.Body)
		}
	case core.HandleGone:
		if v == verdictFull {
			r.onGone(f.Body)
		}
	}
}
