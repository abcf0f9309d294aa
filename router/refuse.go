package router

import (
	"sync"

	"github.com/mitosis-go/mitosis/core"
)

// The refusals of routers. Their bodies are prepared, so that it costs less to refuse a frame
// than to send it.
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

// bounce answers a frame that cannot go on, in the name of its destination. Only the contexts
// between two others can do that. It releases the frame.
//
// If the first credit of an opened stream finds no opener any more, the answer has the handle
// of that stream as its Reply. So it counts as the last frame of the opener, who has sent
// none to this handle yet.
func (r *Router) bounce(f *core.Frame, l *Link, why *refusal) {
	defer f.Release()
	h := f.Header
	answer := core.Header{Dst: h.Src, Src: h.Dst, Auth: h.Dst, Handle: h.Reply, Flags: core.Dead}
	switch {
	case why == errClosed && h.Flags == core.Credit && opensStream(f.Body):
		answer.Reply = h.Handle
	case h.Flags&(core.Dead|core.Credit|core.Cancel) != 0:
		return // an answer to an answer could go on for ever
	case h.Handle == core.HandleGone:
		// The source wants to be told of a loss, which has happened already.
		if why == errNoRoute || why == errGone {
			r.sendGone(l, h.Src, []core.ID{h.Dst}, why.err)
		}
		return
	case h.Handle >= core.FirstDynamic && (h.Reply == core.HandleNone || h.Flags&core.First == 0):
		// The answer to a call, or data of a stream: the destination waits for it.
		r.deadOnward(h, l, why)
	}
	if h.Reply >= core.FirstDynamic {
		r.deadTo(l, answer, why.body())
	}
}

// deadOnward sends an error to the destination in place of a frame that was refused.
func (r *Router) deadOnward(h core.Header, l *Link, why *refusal) {
	t := r.routes.Load()
	if h.Dst == t.self || l == nil {
		return
	}
	out, rel := l.linkFor(t, &core.Frame{Header: h})
	if out == nil || !decideForward(rel, h.Handle) {
		return
	}
	h.Flags = core.Dead
	f := newFrame(h, why.body())
	if !out.q.putFirst(f, l) {
		f.Release()
	}
}

// deadTo sends an error back over the link that its cause came over, without waiting. If there
// is no room for it, the peer does not read its link, and the error is dropped. In the local
// context the endpoint gets the error at once.
func (r *Router) deadTo(l *Link, h core.Header, body []byte) {
	f := newFrame(h, body)
	if l == nil {
		if r.toEndpoint(f, nil) != nil {
			f.Release() // nobody waits for it any more
		}
		return
	}
	if l.q.put(f, l) != taken {
		l.refused.Add(1)
		f.Release()
	}
}
