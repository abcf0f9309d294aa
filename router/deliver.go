package router

import (
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// The refusals that routers make. They are values with prepared bodies, so
// that refusing costs less than sending.
var (
	errNoRoute = newRefusal(core.KindNoRoute)
	errGone    = newRefusal(core.KindGone)
	errRefused = newRefusal(core.KindRefused)
	errBusy    = newRefusal(core.KindBusy)
	errClosed  = newRefusal(core.KindClosed)
)

type refusal struct {
	err  *core.Error
	body func() []byte
}

func newRefusal(k core.Kind) *refusal {
	e := &core.Error{Kind: k}
	return &refusal{e, sync.OnceValue(func() []byte { return core.EncodeLinkError(e) })}
}

// deliver takes a frame to the local context. l is where it came from, nil if
// it is the local context's own.
func (r *Router) deliver(t *table, f *core.Frame, l *Link) {
	if f.Handle >= core.FirstDynamic {
		// Who may answer is a matter of the handle: see Decide.
		if !flagsFit(f.Handle, f.Flags) {
			r.refuse(f, l)
			return
		}
		r.toEndpoint(f, l)
		return
	}
	rel, adjacent := Self, false
	if l != nil {
		rel = t.relation(f.Src)
		if f.Auth != f.Src {
			rel = weaker(rel, t.relation(f.Auth))
		}
		adjacent = f.Src == l.peer
	}
	verdict := Decide(rel, adjacent, f.Handle, f.Flags)
	switch {
	case verdict == Refuse:
		r.refuse(f, l)
	case f.Handle == core.HandleMore:
		r.partials.more(f, l, rel)
	case servedByRouter(f.Handle):
		r.serve(f, l, verdict)
	case r.handlers[f.Handle] == nil:
		r.refuse(f, l)
	default:
		m := Message{Header: f.Header, Relation: rel, Rights: Limited, from: l}
		if verdict == AllowFull {
			m.Rights = Full
		}
		if f.Flags&core.First != 0 {
			r.partials.start(f, l, m)
			return
		}
		m.Body = f.TakeBody()
		r.handlers[m.Handle](m)
	}
}

// refuse is for what authority does not cover.
func (r *Router) refuse(f *core.Frame, l *Link) {
	if l != nil {
		l.violation(f, "authority does not cover it")
	}
	r.bounce(f, l, errRefused)
}

// complete hands over a message that is whole.
func (r *Router) complete(m Message) {
	if m.Handle >= core.FirstDynamic {
		r.endpoints.complete(m)
		return
	}
	if h := r.handlers[m.Handle]; h != nil {
		h(m)
	}
}

// serve takes the frames that are for the router itself.
func (r *Router) serve(f *core.Frame, l *Link, v Verdict) {
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
		if v == AllowFull {
			r.onGone(f.Body)
		}
	}
}

// bounce answers for a frame that cannot go on, in the name of its
// destination: whoever is on the way between two contexts may do that, and
// nobody else can. It releases the frame.
func (r *Router) bounce(f *core.Frame, l *Link, why *refusal) {
	defer f.Release()
	h := f.Header
	answer := core.Header{Dst: h.Src, Src: h.Dst, Auth: h.Dst, Handle: h.Reply, Flags: core.Dead}
	switch {
	case h.Flags&(core.Dead|core.Credit|core.Cancel) != 0:
		return // an answer to an answer could go on for ever
	case h.Handle == core.HandleGone:
		// Somebody wants to be told of a loss, which has happened already.
		if why == errNoRoute || why == errGone {
			r.sendGone(l, h.Src, []core.ID{h.Dst}, why.err)
		}
		return
	case h.Handle >= core.FirstDynamic && (h.Reply == core.HandleNone || h.Flags&core.First == 0):
		// The answer to a call, or data of a stream. There is somebody at
		// the destination who waits for it, too.
		r.deadOnward(h, l, why)
	}
	if h.Reply >= core.FirstDynamic {
		r.deadTo(l, answer, why.body())
	}
}

// deadOnward puts an error in the place of a frame that was refused.
func (r *Router) deadOnward(h core.Header, l *Link, why *refusal) {
	t := r.table.Load()
	if h.Dst == t.self || l == nil {
		return
	}
	out, rel := l.way(t, &core.Frame{Header: h})
	if out == nil || !DecideForward(rel, h.Handle) {
		return
	}
	h.Flags = core.Dead
	f := newFrame(h, why.body())
	if !out.q.putFirst(f, l) {
		f.Release()
	}
}

// deadTo sends an error back over the link where its cause came from, without
// waiting. If even that finds no room, the peer is not reading its link and
// has itself to blame.
func (r *Router) deadTo(l *Link, h core.Header, body []byte) {
	f := newFrame(h, body)
	if l == nil {
		r.deliver(r.table.Load(), f, nil)
		return
	}
	if l.q.put(f, l) != taken {
		l.refused.Add(1)
		f.Release()
	}
}

func newFrame(h core.Header, body []byte) *core.Frame {
	f := core.NewFrame(len(body))
	copy(f.Body, body)
	f.Header = h
	return f
}
