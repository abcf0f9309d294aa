package xz

import (
	"github.com/mitosis-go/mitosis/bootstrap/internal/match"
)

// reach is how many bytes a way is looked for in one go, with prices that stay.
const reach = 4096

// A symbol is a literal, or so many bytes that have been at a distance.
type symbol struct {
	length   int32  // 1: a literal, or a byte at the last distance
	distance uint32 // 0: a literal
	which    int8   // of the last four distances; -1: another
}

// A history is what the price of the next symbol depends on.
type history struct {
	state state
	last  [4]uint32 // distances, the latest first
}

func (h history) after(s symbol) history {
	switch {
	case s.distance == 0:
		h.state = h.state.afterLiteral()
	case s.which < 0:
		h.state = h.state.afterMatch()
		h.last = [4]uint32{s.distance, h.last[0], h.last[1], h.last[2]}
	case s.length == 1:
		h.state = h.state.afterOneByte()
	default:
		h.state = h.state.afterRepeat()
		copy(h.last[1:], h.last[:s.which])
		h.last[0] = s.distance
	}
	return h
}

// A point is a position of a way, and the cheapest way to it that is known.
type point struct {
	price   price
	symbol  // that ends here
	history // before what comes next; known when the way has come here
}

// A way is the search for the cheapest way through some bytes.
type way struct {
	points  [reach + maxMatch + 1]point
	last    int // the last point that has been reached
	matches []match.Match
	symbols []symbol // of the way that was found

	// Prices, since the search began.
	length [2][1 << posBits][maxMatch + 1]price // as model.length
	slot   [4][slots]price
	near   [4][modelled]price // distances less one
	align  [1 << alignBits]price
}

//go:norace
func (w *way) setPrices(m *model) {
	for i := range w.length {
		m.length[i].setPrices(&w.length[i])
	}
	for v := range uint32(len(w.align)) {
		w.align[v] = reversePrice(m.align[:], 0, alignBits, v)
	}
	for i := range w.slot {
		for slot := range uint32(slots) {
			p := treePrice(m.slot[i][:], 6, slot)
			if slot >= modelSlots {
				p += (slot>>1 - 1 - alignBits) * bitPrice
			}
			w.slot[i][slot] = p
		}
	}
	for d := range uint32(modelled) {
		slot, more := distanceSlot(d)
		p := price(0)
		if more > 0 {
			p = reversePrice(m.near[:], nearSkip(slot, more), more, d)
		}
		for i := range w.near {
			w.near[i][d] = w.slot[i][slot] + p
		}
	}
}

//go:norace
func (w *way) distancePrice(distance uint32, n int) price {
	d := distance - 1
	if d < modelled {
		return w.near[ofLength(n)][d]
	}
	slot, _ := distanceSlot(d)
	return w.slot[ofLength(n)][slot] + w.align[d&(1<<alignBits-1)]
}

// search finds the cheapest way from a position, and returns its symbols. It ends
// at the latest where a match begins that is so long that it is taken as it is.
//
//go:norace
func (p *packer) search(from, to int) []symbol {
	w, m := &p.way, &p.model
	w.setPrices(m)
	w.points[0] = point{history: p.history}
	w.last = 0
	for at := 0; ; at++ {
		i := from + at
		here := &w.points[at]
		if at > 0 {
			here.history = w.points[at-int(here.length)].after(here.symbol)
		}
		if i >= to || at >= reach {
			return w.take(at)
		}
		s, pos := here.state, i&posMask
		most := min(maxMatch, to-i)
		copied := here.price + m.isMatch[s][pos].price(1)
		repeat := copied + m.isRepeat[s].price(1)

		// One byte.
		before, there := byte(0), byte(0)
		if i > 0 {
			before = p.data[i-1]
		}
		known := int(here.last[0]) <= i && here.last[0] > 0
		if known {
			there = p.data[i-int(here.last[0])]
		}
		b := p.data[i]
		literal := here.price + m.isMatch[s][pos].price(0) + bytePrice(m.literals(before), b, s, there)
		w.to(at+1, literal, symbol{length: 1})
		if known && there == b {
			w.to(at+1, repeat+m.notFirst[s].price(0)+m.isLonger[s][pos].price(0), symbol{1, here.last[0], 0})
		}

		// The last distances.
		best := minMatch
		for k, d := range here.last {
			if d == 0 || int(d) > i {
				continue
			}
			n := match.Common(p.data[i:i+most], p.data[i-int(d):])
			if n < minMatch {
				continue
			}
			if n >= limits.Nice {
				return append(w.take(at), symbol{int32(n), d, int8(k)})
			}
			price := repeat + w.whichPrice(m, s, pos, k)
			for l := minMatch; l <= n; l++ {
				w.to(at+l, price+w.length[1][pos][l], symbol{int32(l), d, int8(k)})
			}
			best = max(best, n)
		}

		// Others.
		w.matches = p.finder.Append(w.matches[:0], i, minMatch)
		fresh := copied + m.isRepeat[s].price(0)
		from := minMatch
		for _, found := range w.matches {
			n, d := min(int(found.Length), most), uint32(found.Distance)
			if n >= limits.Nice && n > best {
				return append(w.take(at), symbol{int32(n), d, -1})
			}
			for ; from <= n; from++ {
				w.to(at+from, fresh+w.length[0][pos][from]+w.distancePrice(d, from), symbol{int32(from), d, -1})
			}
		}
	}
}

// whichPrice is what it costs to name one of the last distances.
//
//go:norace
func (w *way) whichPrice(m *model, s state, pos, k int) price {
	if k == 0 {
		return m.notFirst[s].price(0) + m.isLonger[s][pos].price(1)
	}
	p := m.notFirst[s].price(1)
	if k == 1 {
		return p + m.notSecond[s].price(0)
	}
	return p + m.notSecond[s].price(1) + m.notThird[s].price(uint32(k-2))
}

// to notes a way to a point, if it is cheaper than what is known.
//
//go:norace
func (w *way) to(at int, price price, s symbol) {
	for w.last < at {
		w.last++
		w.points[w.last].price = never
	}
	if q := &w.points[at]; price < q.price {
		q.price, q.symbol = price, s
	}
}

// take is the way to a point.
//
//go:norace
func (w *way) take(end int) []symbol {
	w.symbols = w.symbols[:0]
	for at := end; at > 0; {
		s := w.points[at].symbol
		w.symbols = append(w.symbols, s)
		at -= int(s.length)
	}
	for i, j := 0, len(w.symbols)-1; i < j; i, j = i+1, j-1 {
		w.symbols[i], w.symbols[j] = w.symbols[j], w.symbols[i]
	}
	return w.symbols
}
