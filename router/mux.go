package router

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/mitosis-go/mitosis/core"
)

// mux is the mutable state of the tree. Only ops on the multiplexer touch it. Other goroutines
// see the part that is published as routes.
type mux struct {
	r      *Router
	emit   func(Event)
	links  map[*Link]struct{}
	closed bool
	below  map[core.ID]idSet // the known descendants, by their parents

	// pairs has the contexts below different children that have addressed each other, in
	// both directions. Each is told when the other is lost.
	pairs map[core.ID]map[core.ID]*Link // the link whose quota the pair counts against

	ids    idState
	issued map[core.ID]core.Block // IDs of children that are not attached yet, with their blocks
}

// linkState has the data of the multiplexer about a link.
type linkState struct {
	attached  bool
	blocks    blocks // IDs that the peer was given for those below it
	gotIDs    uint64 // their number
	infoBytes int
	pairs     int
	retired   idSet // IDs of contexts that have left, which are not used again
}

func (m *mux) init(r *Router, c Config) {
	m.r, m.emit = r, c.OnEvent
	if m.emit == nil {
		m.emit = func(Event) {}
	}
	m.links = make(map[*Link]struct{})
	m.below = make(map[core.ID]idSet)
	m.pairs = make(map[core.ID]map[core.ID]*Link)
	m.issued = make(map[core.ID]core.Block)
	m.ids.space.add(c.Block)
}

func (m *mux) routes() *routes   { return m.r.routes.Load() }
func (m *mux) publish(t *routes) { m.r.routes.Store(t) }

// attach makes a link part of the tree, and announces a child.
func (m *mux) attach(l *Link) error {
	t := m.routes()
	switch {
	case m.closed:
		return core.ErrClosed
	case l.parent && (len(t.ancestors) == 0 || l.peer != t.ancestors[0]):
		return fmt.Errorf("context %d is not the parent", l.peer)
	case l.parent && t.parent != nil:
		return errors.New("there is a link to the parent")
	case !l.parent && (t.relation(l.peer) == RelationSelf || t.relation(l.peer) == RelationAncestor || t.find(l.peer) != nil):
		return fmt.Errorf("context %d exists", l.peer)
	}
	m.links[l] = struct{}{}
	l.mux.attached = true
	if l.parent {
		t = t.clone()
		t.parent = l
		m.publish(t)
		// The contexts below joined before there was this parent.
		all := make(idSet)
		for _, c := range t.all() {
			all[c.id] = struct{}{}
		}
		for order := depthFirst(t, all); len(order) > 0; order = order[:len(order)-1] {
			m.announce(order[len(order)-1])
		}
		m.ids.refused = false
		return nil
	}
	if b, ok := m.issued[l.peer]; ok {
		delete(m.issued, l.peer)
		l.mux.blocks, l.mux.gotIDs = blocks{b}, b.N+1
	}
	if l.known.N > 0 {
		l.mux.blocks = append(l.mux.blocks, l.known)
	}
	m.joined(&member{id: l.peer, parent: t.self, link: l, info: l.info})
	l.ping() // the first measurement of the round trip
	return nil
}

// joined adds a new descendant.
func (m *mux) joined(c *member) {
	m.publish(m.routes().join(c))
	if m.below[c.parent] == nil {
		m.below[c.parent] = make(idSet)
	}
	m.below[c.parent][c.id] = struct{}{}
	m.announce(c)
	m.emit(Event{Kind: EventJoined, ID: c.id, Parent: c.parent, Info: c.info})
}

// linkLost takes a link out of the tree, with all contexts behind it.
func (m *mux) linkLost(l *Link) {
	if !l.mux.attached {
		return
	}
	l.mux.attached = false
	delete(m.links, l)
	err := goneError(l.err)
	if !l.parent {
		m.left(m.families(l.peer), l.err, err)
		return
	}
	t := m.routes().clone()
	t.parent = nil
	m.publish(t)
	beyond := func(id core.ID) bool { return id != t.self && t.find(id) == nil }
	m.r.endpoints.lose(beyond, err)
	m.r.partials.drop(beyond)
	m.idsLost(err)
	m.emit(Event{Kind: EventParentLost, ID: l.peer, Err: l.err})
}

// families returns descendants with all that are known below them.
func (m *mux) families(ids ...core.ID) idSet {
	all := make(idSet)
	for len(ids) > 0 {
		id := ids[len(ids)-1]
		ids = ids[:len(ids)-1]
		if _, ok := all[id]; !ok {
			all[id] = struct{}{}
			ids = slices.AppendSeq(ids, maps.Keys(m.below[id]))
		}
	}
	return all
}

// left takes lost descendants out of the tree. err is the error for everything that waits for
// one of them.
func (m *mux) left(lost idSet, reason, err error) {
	if len(lost) == 0 {
		return
	}
	t := m.routes()
	gone := depthFirst(t, lost)
	m.publish(t.leave(lost))
	m.withdraw(gone, lost, reason)
	m.tellPairs(gone, lost, reason)
	isLost := func(id core.ID) bool { _, ok := lost[id]; return ok }
	m.r.endpoints.lose(isLost, err)
	m.r.partials.drop(isLost)
	for _, c := range gone {
		delete(m.below, c.id)
		if delete(m.below[c.parent], c.id); len(m.below[c.parent]) == 0 {
			delete(m.below, c.parent)
		}
		if l := c.link; l.mux.attached {
			if l.mux.retired == nil {
				l.mux.retired = make(idSet)
			}
			l.mux.retired[c.id] = struct{}{}
			l.mux.infoBytes -= len(c.info)
		}
		m.emit(Event{Kind: EventLeft, ID: c.id, Parent: c.parent, Err: reason})
	}
}

// depthFirst returns the lost contexts, children before their parents.
func depthFirst(t *routes, lost idSet) []*member {
	children := make(map[core.ID][]*member)
	var roots []*member
	for id := range lost {
		c := t.find(id)
		if c == nil {
			continue
		}
		if _, ok := lost[c.parent]; ok {
			children[c.parent] = append(children[c.parent], c)
		} else {
			roots = append(roots, c)
		}
	}
	// Breadth first from the roots, then reversed.
	order := roots
	for i := 0; i < len(order); i++ {
		order = append(order, children[order[i].id]...)
	}
	for i, j := 0, len(order)-1; i < j; i, j = i+1, j-1 {
		order[i], order[j] = order[j], order[i]
	}
	return order
}
