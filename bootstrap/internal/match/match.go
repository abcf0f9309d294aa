// Package match finds what has occurred before in data.
//
// It knows the last four positions of the same four bytes, the last four of the same
// seven, and the last one of the same three, of which machine code has many. The
// first are for near matches, the second for long ones. Chains or trees through all positions
// find better ones, but each step takes as long as a bucket.
//
// What runs for every byte, here and in the packers, belongs to one goroutine and is not
// watched by the race detector, which would take ten seconds for an image.
package match

import (
	"encoding/binary"
	"math/bits"
)

// A Match says that so many bytes are the same as those that are Distance
// before them.
type Match struct{ Length, Distance int32 }

const (
	hashBits = 16
	ahead    = 8 // bytes that are read at a position
)

// Limits say how far and how long a Finder looks. What they are is a matter of
// the format, and of size against time.
type Limits struct {
	Window  int // bytes that a match may reach back; a power of two
	Far     int // bytes that a match of three bytes may reach back
	Longest int // bytes that a match may have
	Nice    int // bytes; a match that long ends a search
}

// A Finder finds matches in one piece of data, position by position.
type Finder struct {
	Limits
	data []byte
	next int // the position that is entered next

	// The last positions by a hash of their first bytes, the latest first.
	of3 [1 << hashBits]entry
	of4 [1 << hashBits]bucket
	of7 [1 << hashBits]bucket
}

// An entry is a position, plus Window and 1: so that 0 is too far from everywhere.
type entry int32

type bucket [4]entry

// New is a Finder for the matches in data from a position on. All before it may
// be referred to.
func New(data []byte, from int, l Limits) *Finder {
	f := &Finder{Limits: l, data: data, next: max(0, from-l.Window)}
	f.enter(from)
	return f
}

// enter makes the positions before i known.
//
//go:norace
func (f *Finder) enter(i int) {
	next := f.next
	for end := min(i, len(f.data)-ahead+1); next < end; next++ {
		eight := binary.LittleEndian.Uint64(f.data[next:])
		e := entry(next + f.Window + 1)
		f.of3[hash(eight<<40)] = e
		f.of4[hash(eight<<32)].add(e)
		f.of7[hash(eight<<8)].add(e)
	}
	f.next = max(next, f.next)
}

//go:norace
func (b *bucket) add(e entry) { *b = bucket{e, b[0], b[1], b[2]} }

func hash(b uint64) uint64 { return b * 0x9e3779b97f4a7c15 >> (64 - hashBits) }

// Skip leaves out the positions before i, but for the last few.
func (f *Finder) Skip(i int) {
	f.next = max(f.next, i-f.Nice)
}

// Append appends to matches those at i that are longer than atLeast and those before,
// for each length the nearest that was found.
//
//go:norace
func (f *Finder) Append(matches []Match, i, atLeast int) []Match {
	f.enter(i)
	if i+ahead > len(f.data) {
		return matches
	}
	data, here := f.data, f.data[i:min(i+f.Longest, len(f.data))]
	eight := binary.LittleEndian.Uint64(here)
	base := i + f.Window + 1
	best := max(atLeast, 2)
	enough := min(f.Nice, len(here))
	if best >= enough {
		return matches
	}
	// More than three bytes are found below.
	if distance := base - int(f.of3[hash(eight<<40)]); distance <= f.Far && best == 2 && same3(here, data[i-distance:]) {
		matches = append(matches, Match{3, int32(distance)})
		best = 3
	}
	b := &f.of4[hash(eight<<32)]
	for range 2 {
		for _, e := range b {
			distance := base - int(e)
			if distance > f.Window {
				break
			}
			if data[i-distance+best] != here[best] {
				continue
			}
			if n := Common(here, data[i-distance:]); n > best {
				matches = append(matches, Match{int32(n), int32(distance)})
				if best = n; n >= enough {
					return matches
				}
			}
		}
		b = &f.of7[hash(eight<<8)]
	}
	return matches
}

func same3(a, b []byte) bool { return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] }

// Common is how many bytes a and the longer b begin with in common.
//
//go:norace
func Common(a, b []byte) int {
	b = b[:len(a)]
	n := 0
	for ; n+8 <= len(a); n += 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}
