package router

import (
	"maps"
	"slices"

	"github.com/mitosis-go/mitosis/core"
)

// routes is the tree as readers need it. It is immutable: the
// multiplexer makes and publishes a new one for each change. Its maps are cut into shards, so
// that a change copies only a small part.
type routes struct {
	self          core.ID
	ancestors     []core.ID // nearest first
	allowSiblings bool
	parent        *Link // nil in the master, and when it is lost

	contexts [routeShards]map[core.ID]*member
	grants   [routeShards]map[core.ID]idSet // from a context to those that it may address
}

const routeShards = 64

// member is a known descendant. Immutable.
type member struct {
	id, parent core.ID
	link       *Link
	info       []byte
}

// idSet is an immutable set.
type idSet map[core.ID]struct{}

func (t *routes) find(id core.ID) *member {
	return t.contexts[id%routeShards][id]
}

// via returns the link toward id, nil if there is none. id must not be self.
func (t *routes) via(id core.ID) *Link {
	if c := t.find(id); c != nil {
		return c.link
	}
	return t.parent
}

// behind reports whether id is reached over l: the reverse-path check.
func (t *routes) behind(l *Link, id core.ID) bool {
	if c := t.find(id); c != nil {
		return c.link == l
	}
	return l == t.parent && l != nil && id != t.self
}

// relation returns the relation of id to the local context.
func (t *routes) relation(id core.ID) Relation {
	switch {
	case id == t.self:
		return RelationSelf
	case t.find(id) != nil:
		return RelationDescendant
	case slices.Contains(t.ancestors, id):
		return RelationAncestor
	case t.granted(id, t.self):
		return RelationGranted
	case t.allowSiblings:
		return RelationPeer
	}
	return RelationStranger
}

func (t *routes) granted(a, b core.ID) bool {
	_, ok := t.grants[a%routeShards][a][b]
	return ok
}

// sideways returns the relation of src to dst, where both are below different children of the
// local context.
func (t *routes) sideways(src, dst core.ID) Relation {
	switch {
	case t.granted(src, dst):
		return RelationGranted
	case t.allowSiblings:
		return RelationPeer
	case t.granted(dst, src):
		return RelationAnswering
	}
	return RelationStranger
}

// common returns the lowest common ancestor of two descendants, or of a descendant and the
// local context. It reports false if one is unknown.
func (t *routes) common(a, b core.ID) (core.ID, bool) {
	above := func(id core.ID) []core.ID {
		path := []core.ID{id}
		for id != t.self {
			c := t.find(id)
			// The loop ends: when a context joins its parent is known, and when a
			// parent leaves its descendants leave with it.
			if c == nil {
				return nil
			}
			id = c.parent
			path = append(path, id)
		}
		return path
	}
	pa, pb := above(a), above(b)
	for _, id := range pa {
		if slices.Contains(pb, id) {
			return id, true
		}
	}
	return 0, false
}

func (t *routes) clone() *routes {
	c := *t
	return &c
}

// join returns routes with another context.
func (t *routes) join(c *member) *routes {
	n := t.clone()
	s := c.id % routeShards
	n.contexts[s] = cloneMap(t.contexts[s])
	n.contexts[s][c.id] = c
	return n
}

// leave returns routes without some contexts, and without grants to or from them.
func (t *routes) leave(ids idSet) *routes {
	n := t.clone()
	n.contexts = dropKeys(t.contexts, ids)
	n.grants = dropKeys(t.grants, ids)
	for s, m := range n.grants {
		copied := false
		for a, set := range m {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(set)), func(b core.ID) bool { _, ok := ids[b]; return ok }) {
				continue
			}
			if !copied {
				m, copied = maps.Clone(m), true
				n.grants[s] = m
			}
			m[a] = without(set, ids)
			if len(m[a]) == 0 {
				delete(m, a)
			}
		}
	}
	return n
}

// grant returns routes by which a may address b.
func (t *routes) grant(a, b core.ID) *routes {
	n := t.clone()
	s := a % routeShards
	n.grants[s] = cloneMap(t.grants[s])
	set := cloneMap(n.grants[s][a])
	set[b] = struct{}{}
	n.grants[s][a] = set
	return n
}

// all returns all known contexts.
func (t *routes) all() []*member {
	var all []*member
	for _, m := range t.contexts {
		for _, c := range m {
			all = append(all, c)
		}
	}
	return all
}

func cloneMap[M ~map[core.ID]V, V any](m M) M {
	if m == nil {
		return make(M)
	}
	return maps.Clone(m)
}

func without(set, ids idSet) idSet {
	n := maps.Clone(set)
	for id := range ids {
		delete(n, id)
	}
	return n
}

// dropKeys returns shards without some keys. It copies only shards that have one of them.
func dropKeys[V any](shards [routeShards]map[core.ID]V, ids idSet) [routeShards]map[core.ID]V {
	var copied [routeShards]bool
	for id := range ids {
		s := id % routeShards
		if _, ok := shards[s][id]; !ok {
			continue
		}
		if !copied[s] {
			shards[s], copied[s] = maps.Clone(shards[s]), true
		}
		delete(shards[s], id)
	}
	return shards
}
