package router

import (
	"context"

	"github.com/mitosis-go/mitosis/core"
)

// idState has the multiplexer's stock of IDs and the requests for them.
type idState struct {
	space    idSpace
	children []chan newChild // waiting calls of AllocID; each channel has capacity 1
	hungry   []hunger        // children that have asked for more
	asking   bool            // the parent has been asked
	refused  bool            // and said no
}

type newChild struct {
	id    core.ID
	block core.Block
	err   error
}

// hunger is a child's request for IDs.
type hunger struct {
	l      *Link
	src    core.ID
	reply  core.Handle
	wanted uint64
}

// AllocID returns the ID for a new child, and a block of IDs for the child's own children. The
// block may be empty: the child gets more when it needs them. If no ID is left here, AllocID
// asks the parent and waits for the answer until ctx ends. The error matches ErrTooDeep if the
// quota of IDs is used up.
func (r *Router) AllocID(ctx context.Context) (core.ID, core.Block, error) {
	c := make(chan newChild, 1)
	if !r.do(func() {
		r.mux.ids.children = append(r.mux.ids.children, c)
		r.mux.serveIDs()
	}) {
		return 0, core.Block{}, &core.Error{Op: "allocate an ID", Kind: core.KindClosed}
	}
	select {
	case b := <-c:
		return b.id, b.block, b.err
	case <-ctx.Done():
		return 0, core.Block{}, context.Cause(ctx)
	case <-r.stopped:
		return 0, core.Block{}, &core.Error{Op: "allocate an ID", Kind: core.KindClosed}
	}
}

// serveIDs serves the waiting requests, and asks the parent for more IDs before they are
// needed.
func (m *mux) serveIDs() {
	s := &m.ids
	for len(s.children) > 0 {
		id, block, ok := s.space.child()
		if !ok {
			break
		}
		m.issued[id] = block
		s.children[0] <- newChild{id: id, block: block}
		s.children = s.children[1:]
	}
	for len(s.children) == 0 && len(s.hungry) > 0 && s.space.left > 0 {
		h := s.hungry[0]
		s.hungry = s.hungry[1:]
		m.feed(h)
	}
	starved := len(s.children) > 0 || len(s.hungry) > 0
	parent := m.routes().parent
	switch {
	case s.asking:
	case parent != nil && (starved || s.space.left < lowWater && !s.refused):
		m.askParent(parent)
	case parent == nil && starved:
		m.starve(&core.Error{Op: "allocate an ID", Kind: core.KindTooDeep})
	}
}

// feed gives a child IDs, within its quota.
func (m *mux) feed(h hunger) {
	if !h.l.mux.attached {
		return
	}
	quota := uint64(m.r.limits.IDs)
	b := core.Block{}
	if h.l.mux.gotIDs < quota {
		b = m.ids.space.refill(min(h.wanted, quota-h.l.mux.gotIDs))
	}
	if b.N == 0 {
		m.answerIDs(h, core.Dead, core.EncodeError(&core.Error{Op: "allocate an ID", Kind: core.KindTooDeep}))
		return
	}
	h.l.mux.gotIDs += b.N
	h.l.mux.blocks = append(h.l.mux.blocks, b)
	m.answerIDs(h, 0, encode(b))
}

func (m *mux) answerIDs(h hunger, flags core.Flags, body []byte) {
	self := m.r.self
	f := newFrame(core.Header{Dst: h.src, Src: self, Auth: self, Handle: h.reply, Flags: flags}, body)
	if h.l.q.put(f, h.l) != taken {
		f.Release()
	}
}

// starve answers all waiting requests with an error.
func (m *mux) starve(err error) {
	s := &m.ids
	for _, c := range s.children {
		c <- newChild{err: err}
	}
	for _, h := range s.hungry {
		m.answerIDs(h, core.Dead, core.EncodeError(err))
	}
	s.children, s.hungry = nil, nil
}

// idsLost ends the waiting requests when the parent is lost and no ID is left.
func (m *mux) idsLost(err error) {
	if m.ids.space.left == 0 {
		m.starve(err)
	}
}

// askParent sends a request for IDs. A goroutine waits for the answer. It ends with that or
// with the link, and Close waits for it.
func (m *mux) askParent(parent *Link) {
	s := &m.ids
	wanted := uint64(refillBlock + len(s.children))
	for _, h := range s.hungry {
		wanted += h.wanted
	}
	reply := m.r.NewReply(parent.peer)
	f := parent.control(core.HandleIDs, core.AppendUint(nil, wanted))
	f.Reply = reply.Handle()
	if parent.q.put(f, nil) != taken {
		f.Release()
		reply.Close()
		m.starve(&core.Error{Op: "allocate an ID", Kind: core.KindGone})
		return
	}
	s.asking = true
	m.r.asks.Go(func() {
		answer := <-reply.C()
		reply.Close()
		m.r.do(func() { m.onIDs(answer) })
	})
}

// onIDs takes the parent's answer.
func (m *mux) onIDs(answer Message) {
	s := &m.ids
	s.asking = false
	var b core.Block
	if answer.Err == nil {
		if err := core.Unmarshal(answer.Body, &b); err != nil || b.N == 0 {
			answer.Err = &core.Error{Op: "allocate an ID", Kind: core.KindProtocol, Err: err}
		}
	}
	if answer.Err != nil {
		s.refused = true
		if s.space.left == 0 {
			m.starve(&core.Error{Op: "allocate an ID", Kind: core.KindTooDeep, Err: answer.Err})
			return
		}
	}
	s.space.add(b)
	m.serveIDs()
}

// onIDs takes the request of a child.
func (r *Router) onIDs(l *Link, h core.Header, body []byte) {
	wanted, _, err := core.ParseUint(body)
	if err != nil || h.Reply < core.FirstDynamic {
		l.cutOff("its request for IDs is malformed")
		return
	}
	r.do(func() {
		if len(r.mux.ids.hungry) > 10000 {
			return // each child asks once at a time
		}
		r.mux.ids.hungry = append(r.mux.ids.hungry, hunger{l, h.Src, h.Reply, wanted})
		r.mux.serveIDs()
	})
}
