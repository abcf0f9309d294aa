package fleet

import (
	"iter"
	"slices"
)

// A HostSet is an ordered set of host names. The zero value is the empty set. A set does not
// change: operations return new ones. It may be used by several goroutines.
type HostSet struct {
	names []string       // in the order in which they came
	place map[string]int // of each name
}

// NewHosts returns the set of the given names, taken as they stand. Of equal names the first
// counts, and an empty one is left out.
func NewHosts(names ...string) HostSet {
	var b builder
	b.add(names)
	return b.set()
}

// Len returns the number of names.
func (h HostSet) Len() int { return len(h.names) }

// Contains reports whether a name is in the set.
func (h HostSet) Contains(name string) bool {
	_, ok := h.place[name]
	return ok
}

// All yields the names in their order.
func (h HostSet) All() iter.Seq[string] { return slices.Values(h.names) }

// Names returns the names in their order.
func (h HostSet) Names() []string { return slices.Clone(h.names) }

// Union returns the names of h, followed by those that only other has.
func (h HostSet) Union(other HostSet) HostSet {
	if h.Len() == 0 {
		return other
	}
	return h.with((*builder).add, other)
}

// Intersect returns the names of h that other has, too.
func (h HostSet) Intersect(other HostSet) HostSet { return h.with((*builder).keep, other) }

// Minus returns the names of h that other has not.
func (h HostSet) Minus(other HostSet) HostSet {
	return h.with((*builder).remove, other)
}

// SymmetricDifference returns the names that only h has, followed by those that only other
// has.
func (h HostSet) SymmetricDifference(other HostSet) HostSet {
	return h.with((*builder).toggle, other)
}

func (h HostSet) with(change func(*builder, []string), other HostSet) HostSet {
	var b builder
	b.add(h.names)
	change(&b, other.names)
	return b.set()
}

// Equal reports whether two sets have the same names, in whatever order.
func (h HostSet) Equal(other HostSet) bool {
	return h.Len() == other.Len() && h.Intersect(other).Len() == h.Len()
}

// MarshalText returns the folded form.
func (h HostSet) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads a set as [ParseHosts] does.
func (h *HostSet) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHosts(string(text))
	return err
}
