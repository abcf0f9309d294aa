package fleet

import "slices"

// A builder is a set that changes, and that nobody else has yet. Each change takes time in
// proportion to the names that it is given, not to those that are there, but for keep.
type builder struct {
	names []string       // "" where one was removed
	place map[string]int // in names
}

// add adds names at the end that are not there.
func (b *builder) add(names []string) {
	if b.place == nil {
		b.place = make(map[string]int, len(names))
		b.names = make([]string, 0, len(names))
	}
	for _, n := range names {
		if _, ok := b.place[n]; !ok && n != "" {
			b.place[n] = len(b.names)
			b.names = append(b.names, n)
		}
	}
}

// remove removes names that are there.
func (b *builder) remove(names []string) {
	for _, n := range names {
		if at, ok := b.place[n]; ok {
			b.names[at] = ""
			delete(b.place, n)
		}
	}
}

// keep removes all but the given names.
func (b *builder) keep(names []string) {
	wanted := NewHosts(names...)
	var others []string
	for n := range b.place {
		if !wanted.Contains(n) {
			others = append(others, n)
		}
	}
	b.remove(others)
}

// toggle removes the names that are there and adds the others.
func (b *builder) toggle(names []string) {
	names = NewHosts(names...).names
	missing := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		_, ok := b.place[n]
		return ok
	})
	b.remove(names)
	b.add(missing)
}

// set returns what was built. The builder is not used afterwards.
func (b *builder) set() HostSet {
	if len(b.place) == len(b.names) {
		return HostSet(*b)
	}
	var left builder
	left.add(slices.DeleteFunc(b.names, func(n string) bool { return n == "" }))
	return HostSet(left)
}
