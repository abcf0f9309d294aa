package router

import (
	"context"

	"github.com/mitosis-go/mitosis/core"
)

// goneMessage is the body of a frame to HandleGone from an ancestor: contexts are lost that
// the receiver has exchanged frames with or has an interest in. A frame with an empty body,
// from any context, says that the sender has an interest in the receiver. The routers in
// between note that.
type goneMessage struct {
	_   struct{} `cbor:",toarray"`
	IDs []core.ID
	Why []byte
}

// Interest asks for an Event when a context is lost. For descendants and ancestors there is
// always an Event. For others the local context needs the right to address them.
func (r *Router) Interest(id core.ID) {
	switch r.Relation(id) {
	case RelationSelf, RelationDescendant, RelationAncestor:
		return
	}
	// If this fails the context can't be reached, and nothing else is to be learnt of it.
	_ = r.Send(context.Background(), id, core.HandleGone, core.HandleNone, 0, nil)
}

// addPair notes that p.src, from behind l, addresses p.dst below another child. It reports
// false if one of them is gone, or the quota is used up.
func (m *mux) addPair(l *Link, p pair) bool {
	t := m.routes()
	s, d := t.find(p.src), t.find(p.dst)
	if s == nil || d == nil || s.link != l {
		return false
	}
	if _, ok := m.pairs[p.src][p.dst]; ok {
		return true
	}
	if l.mux.pairs >= m.r.limits.Pairs {
		l.refused.Add(1)
		return false
	}
	l.mux.pairs++
	for _, q := range []pair{p, {p.dst, p.src}} {
		if m.pairs[q.src] == nil {
			m.pairs[q.src] = make(map[core.ID]*Link)
		}
		m.pairs[q.src][q.dst] = l
	}
	return true
}

// tellPairs tells the contexts below other children that ever exchanged frames with one of the
// lost, and forgets these pairs.
func (m *mux) tellPairs(gone []*member, lost idSet, reason error) {
	t := m.routes()
	news := make(map[core.ID][]core.ID)
	for _, c := range gone {
		for other, payer := range m.pairs[c.id] {
			payer.mux.pairs--
			delete(m.pairs[other], c.id)
			if len(m.pairs[other]) == 0 {
				delete(m.pairs, other)
			}
			if _, ok := lost[other]; !ok {
				news[other] = append(news[other], c.id)
			}
		}
		delete(m.pairs, c.id)
	}
	for to, ids := range news {
		if c := t.find(to); c != nil {
			c.link.q.putAfter(m.r.goneFrames(to, ids, reason), func(k flowKey) bool { _, ok := lost[k.src]; return ok })
		}
	}
}

func (r *Router) goneFrames(to core.ID, ids []core.ID, reason error) []*core.Frame {
	var frames []*core.Frame
	for len(ids) > 0 {
		n := min(len(ids), leftPerFrame)
		h := core.Header{Dst: to, Src: r.self, Auth: r.self, Handle: core.HandleGone}
		frames = append(frames, newFrame(h, encode(goneMessage{IDs: ids[:n], Why: encodeReason(reason)})))
		ids = ids[n:]
	}
	return frames
}

// sendGone answers a context that has an interest in others which are not there. l is the
// link that its frame came over.
func (r *Router) sendGone(l *Link, to core.ID, ids []core.ID, reason error) {
	if l == nil {
		return
	}
	for _, f := range r.goneFrames(to, ids, reason) {
		if l.q.put(f, l) != taken {
			f.Release()
		}
	}
}

// onGone takes the news from an ancestor that contexts are lost which are neither above nor
// below.
func (r *Router) onGone(body []byte) {
	var msg goneMessage
	if len(body) == 0 || core.Unmarshal(body, &msg) != nil {
		return
	}
	reason := core.DecodeError(msg.Why)
	r.do(func() {
		t := r.mux.routes()
		lost := make(idSet)
		for _, id := range msg.IDs {
			if rel := t.relation(id); rel == RelationStranger || rel == RelationPeer || rel == RelationGranted {
				lost[id] = struct{}{}
			}
		}
		isLost := func(id core.ID) bool { _, ok := lost[id]; return ok }
		r.mux.publish(t.leave(lost)) // grants
		r.endpoints.lose(isLost, &core.Error{Kind: core.KindGone, Err: reason})
		r.partials.drop(isLost)
		for id := range lost {
			r.mux.emit(Event{Kind: EventLeft, ID: id, Err: reason})
		}
	})
}
