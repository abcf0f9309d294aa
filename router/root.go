package router

import "github.com/mitosis-go/mitosis/core"

// rootMessage is the body of a frame to HandleRoot. Its source is the root of the rest of the
// tree.
type rootMessage struct {
	_    struct{} `cbor:",toarray"`
	Stay blocks   // IDs of the contexts that are left
	Why  []byte
}

// BecomeRoot tells all contexts below that all others are gone, the master included, and why.
// It is for a context that has lost its parent and does not end. A link to another parent with
// the ID of the lost one may be attached afterwards.
//
// The news has the blocks of the IDs that stay, and not the IDs, so that it always fits one
// frame.
func (r *Router) BecomeRoot(reason error) {
	r.do(func() {
		t := r.mux.routes()
		stay := blocks{{First: t.self, N: 1}}
		for _, b := range r.mux.ids.space.all {
			// A block mostly begins where the last one ends.
			if last := &stay[len(stay)-1]; last.First+core.ID(last.N) == b.First {
				last.N += b.N
			} else {
				stay = append(stay, b)
			}
		}
		body := encode(rootMessage{Stay: stay, Why: encodeReason(reason)})
		for _, c := range t.all() {
			f := newFrame(core.Header{Dst: c.id, Src: t.self, Auth: t.self, Handle: core.HandleRoot}, body)
			if c.link.q.put(f, nil) != taken {
				f.Release()
			}
		}
	})
}

// OnRoot takes the news that an ancestor is the root of the rest of the tree. It is meant as
// Config.OnRoot.
func (r *Router) OnRoot(root core.ID, body []byte) {
	var msg rootMessage
	if core.Unmarshal(body, &msg) != nil || !msg.Stay.contain(root) {
		return
	}
	reason := core.DecodeError(msg.Why)
	r.do(func() {
		gone := func(id core.ID) bool { return !msg.Stay.contain(id) }
		r.endpoints.lose(gone, &core.Error{Kind: core.KindGone, Err: reason})
		r.partials.drop(gone)
		r.mux.emit(Event{Kind: EventOthersLeft, ID: root, Err: reason, Stays: msg.Stay.contain})
	})
}
