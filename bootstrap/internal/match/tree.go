package match

import "encoding/binary"

// A Tree finds the longest match at every position, and the nearest of each length
// below: the positions of the same four bytes are a binary tree, ordered by what
// follows them, the latest at its root (as in LZMA's bt4). It takes several times as
// long as a Finder.
type Tree struct {
	Limits
	Depth int // how many positions a search looks at
	data  []byte
	next  int // the position that is entered next

	of3   [1 << hashBits]entry
	roots [1 << hashBits]entry // by a hash of four bytes
	nodes []node               // by position, as far as a match may reach back
}

// A node has the positions with less behind them, and those with more.
type node [2]entry

// NewTree is a Tree for the matches in data from a position on. All before it may
// be referred to.
func NewTree(data []byte, from, depth int, l Limits) *Tree {
	t := &Tree{Limits: l, Depth: depth, data: data, next: max(0, from-l.Window), nodes: make([]node, l.Window)}
	t.Skip(from)
	return t
}

// Skip makes the positions before i known without a search.
func (t *Tree) Skip(i int) {
	for t.next < i {
		t.step(nil, t.Longest)
	}
}

// Append appends to matches those at i that are longer than atLeast and those before,
// for each length the nearest that was found. Each i must be above that before.
func (t *Tree) Append(matches []Match, i, atLeast int) []Match {
	t.Skip(i)
	return t.step(matches, max(atLeast, 2))
}

// step makes the next position known. On the way down the tree of those before it, of which
// it becomes the root, it meets its matches, the nearest first, and appends those that are
// longer than best.
//
//go:norace
func (t *Tree) step(matches []Match, best int) []Match {
	i, data := t.next, t.data
	t.next++
	if i+ahead > len(data) {
		return matches
	}
	here := data[i:min(i+t.Longest, len(data))]
	four := uint64(binary.LittleEndian.Uint32(here))
	base := i + t.Window + 1
	mask := t.Window - 1
	enough := min(t.Nice, len(here))

	// More than three bytes are found below.
	three := &t.of3[hash(four<<40)]
	if distance := base - int(*three); distance <= t.Far && best == 2 && same3(here, data[i-distance:]) {
		matches = append(matches, Match{3, int32(distance)})
		best = 3
	}
	*three = entry(base)

	root := &t.roots[hash(four<<32)]
	e := *root
	*root = entry(base)
	// Where the positions with less and with more behind them hang next, and how many
	// bytes those above share with this one.
	own := &t.nodes[i&mask]
	less, more := &own[0], &own[1]
	sharedLess, sharedMore := 0, 0
	n := 0
	for range t.Depth {
		distance := base - int(e)
		if distance >= t.Window {
			break
		}
		there := data[i-distance:]
		other := &t.nodes[(i-distance)&mask]
		if there[n] == here[n] {
			n++
			n += Common(here[n:], there[n:])
			if n > best {
				matches = append(matches, Match{int32(n), int32(distance)})
				best = n
			}
			if n >= enough {
				*less, *more = other[0], other[1]
				return matches
			}
		}
		if there[n] < here[n] {
			*less = e
			less = &other[1]
			e = *less
			sharedLess = n
			n = min(n, sharedMore)
		} else {
			*more = e
			more = &other[0]
			e = *more
			sharedMore = n
			n = min(n, sharedLess)
		}
	}
	*less, *more = 0, 0
	return matches
}
