package match

import "encoding/binary"

// A Hasty finds one match at a position: with the last position of the same eight
// bytes, or else of the same five. It takes a fraction of a Finder's time, of which
// most is waiting for memory: its tables fit into a processor's own.
type Hasty struct {
	Limits
	data []byte
	next int // the position that is entered next

	of5, of8 [1 << hashBits]entry
}

// NewHasty is a Hasty for the matches in data from a position on. All before it
// may be referred to.
func NewHasty(data []byte, from int, l Limits) *Hasty {
	h := &Hasty{Limits: l, data: data, next: max(0, from-l.Window)}
	h.enter(from)
	return h
}

// enter makes the positions before i known, but of long stretches only every other.
//
//go:norace
func (h *Hasty) enter(i int) {
	next := h.next
	step := 1
	if i-next > 8 {
		step = 2
	}
	for end := min(i, len(h.data)-ahead+1); next < end; next += step {
		eight := binary.LittleEndian.Uint64(h.data[next:])
		e := entry(next + h.Window + 1)
		h.of5[hash(eight<<24)] = e
		h.of8[hash(eight)] = e
	}
	h.next = max(i, h.next)
}

// Skip leaves out the positions before i, but for the last few.
func (h *Hasty) Skip(i int) { h.next = max(h.next, i-h.Nice) }

// Best is a match at i that is longer than atLeast; or 0.
//
//go:norace
func (h *Hasty) Best(i, atLeast int) Match {
	h.enter(i)
	if i+ahead > len(h.data) {
		return Match{}
	}
	here := h.data[i:min(i+h.Longest, len(h.data))]
	eight := binary.LittleEndian.Uint64(here)
	base := i + h.Window + 1
	for _, e := range [...]entry{h.of8[hash(eight)], h.of5[hash(eight<<24)]} {
		distance := base - int(e)
		if distance > h.Window || binary.LittleEndian.Uint32(h.data[i-distance:]) != uint32(eight) {
			continue
		}
		if n := Common(here, h.data[i-distance:]); n > atLeast {
			return Match{int32(n), int32(distance)}
		}
	}
	return Match{}
}
