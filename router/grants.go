package router

import (
	"fmt"

	"github.com/mitosis-go/mitosis/core"
)

// grantMessage is the body of a frame to HandleGrant: From may address To.
type grantMessage struct {
	_        struct{} `cbor:",toarray"`
	From, To core.ID
}

// Grant lets a send messages to b, and b answer. Both must be descendants of the local
// context. Their lowest common ancestor and b learn of the grant before any message arrives
// at a that is sent after the call. Where one is above the other no grant is needed.
func (r *Router) Grant(a, b core.ID) error {
	t := r.routes.Load()
	common, ok := t.common(a, b)
	switch {
	case t.find(a) == nil || t.find(b) == nil || !ok:
		return &core.Error{Op: "grant", Kind: core.KindNoRoute, Err: fmt.Errorf("contexts %d and %d are not both below this one", a, b)}
	case common == a || common == b || t.granted(a, b):
		// A grant is kept here even if another context enforces it, so that it is
		// sent once.
		return nil
	}
	body := encode(grantMessage{From: a, To: b})
	r.do(func() {
		t := r.mux.routes()
		if t.granted(a, b) || t.find(a) == nil || t.find(b) == nil {
			return
		}
		// The frames are queued before the routes are published: a grant that is seen
		// in the routes is on its way.
		for _, to := range []core.ID{common, b} {
			c := t.find(to)
			if c == nil {
				continue // the local context
			}
			f := newFrame(core.Header{Dst: to, Src: r.self, Auth: r.self, Handle: core.HandleGrant}, body)
			if c.link.q.put(f, nil) != taken {
				f.Release()
			}
		}
		r.mux.publish(t.grant(a, b))
	})
	return nil
}

// onGrant takes a grant from an ancestor. The local context is the common ancestor of the two,
// or the one that may be addressed.
func (r *Router) onGrant(body []byte) {
	var msg grantMessage
	if core.Unmarshal(body, &msg) != nil {
		return
	}
	r.do(func() {
		t := r.mux.routes()
		here := msg.To == r.self && t.find(msg.From) == nil
		between := t.find(msg.From) != nil && t.find(msg.To) != nil
		if here || between {
			r.mux.publish(t.grant(msg.From, msg.To))
		}
	})
}
