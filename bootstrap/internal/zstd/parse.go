package zstd

import (
	"github.com/mitosis-go/mitosis/bootstrap/internal/entropy"
	"github.com/mitosis-go/mitosis/bootstrap/internal/match"
)

// reach is how many bytes a way is looked for in one go. More would not make it
// much better, and prices are set anew between two.
const reach = 4096

// A point is a position of a way, and the cheapest way to it that is known.
type point struct {
	price    int32
	literals int32 // since the last match
	length   int32 // of the match that ends here; 0 for a literal
	distance int32
	repeat   offsets // before what comes next; known when the way has come here
}

// A way is the search for the cheapest way through some bytes.
type way struct {
	points  [reach + 256]point
	last    int // the last point that has been reached
	matches []match.Match
}

// parse fills p.literals and p.sequences with a cheap way through a block.
func (p *packer) parse(from, to int) {
	p.literals, p.sequences = p.literals[:0], p.sequences[:0]
	p.stats.fade()
	behind := from // the literals before are in a sequence, or will be
	for i := from; i < to; {
		p.stats.setPrices()
		end, long := p.search(i, to, int32(i-behind))
		behind = p.take(i, end, behind)
		i = end
		if long.Length > 0 {
			p.sequence(behind, i, long)
			i += int(long.Length)
			behind = i
			p.finder.Skip(i)
		}
	}
	p.literals = append(p.literals, p.data[behind:to]...)
}

// search finds the cheapest way from a position, before which there are so many
// literals, to where it ends; by then at the latest a match begins that is so long
// that it is taken as it is.
//
//go:norace
func (p *packer) search(from, to int, literals int32) (end int, long match.Match) {
	w, s := &p.way, &p.stats
	w.points[0] = point{literals: literals, repeat: p.repeat}
	w.last = 0
	for at := 0; ; at++ {
		i := from + at
		here := &w.points[at]
		if at > 0 {
			before := &w.points[at-max(1, int(here.length))]
			if here.length > 0 {
				_, here.repeat = before.repeat.use(here.distance, before.literals == 0)
			} else {
				here.literals = before.literals + 1
				here.repeat = before.repeat
			}
		}
		if i >= to || at >= reach {
			return i, long
		}
		price := here.price + s.literalPrice[p.data[i]] + s.run(here.literals+1) - s.run(here.literals)
		w.to(at+1, price, 0, 0)
		if next := &w.points[at+1]; next.length > 0 && next.price <= here.price+4*entropy.Bit {
			continue // hardly any way that ends well comes by here
		}
		base := here.price + s.runPrice[0]
		best := minMatch - 1
		for k, d := range here.repeat.meant(here.literals == 0) {
			if d <= 0 || int(d) > i {
				continue
			}
			n := match.Common(p.data[i:to], p.data[i-int(d):])
			if n >= limits.Nice {
				return i, match.Match{Length: int32(n), Distance: d}
			}
			w.match(at, base+s.offsetPrice[min(k, 1)], s, minMatch, n, d)
			best = max(best, n)
		}
		w.matches = p.finder.Append(w.matches[:0], i, best)
		for _, m := range w.matches {
			n := min(int(m.Length), to-i)
			if n >= limits.Nice {
				m.Length = int32(n)
				return i, m
			}
			code, _, _ := offsetCode(m.Distance + 3)
			w.match(at, base+s.offsetPrice[code], s, best+1, n, m.Distance)
			best = max(best, n)
		}
	}
}

// match notes the ways by a match, of lengths between least and n. Where a shorter
// one is of no use, those that are shorter still hardly are.
//
//go:norace
func (w *way) match(at int, price int32, s *stats, least, n int, distance int32) {
	for ; n >= least; n-- {
		if !w.to(at+n, price+s.lengthPrice[n], int32(n), distance) {
			break
		}
	}
}

// to notes a way to a point, if it is cheaper than what is known.
//
//go:norace
func (w *way) to(at int, price, length, distance int32) bool {
	for w.last < at {
		w.last++
		w.points[w.last].price = 1 << 30
	}
	q := &w.points[at]
	if price >= q.price {
		return false
	}
	q.price, q.length, q.distance, q.literals = price, length, distance, 0
	return true
}

// take turns a way into sequences. behind is where its first literals begin, and
// then where the next will.
func (p *packer) take(from, end, behind int) int {
	w := &p.way
	// The way is known from its end. Turned round, each point says what comes
	// next.
	next := int32(0)
	var distance int32
	for at := end - from; at > 0; {
		q := &w.points[at]
		length, d := q.length, q.distance
		q.length, q.distance = next, distance
		next, distance = length, d
		at -= max(1, int(length))
	}
	w.points[0].length, w.points[0].distance = next, distance
	for i := from; i < end; {
		q := w.points[i-from]
		if q.length == 0 {
			i++
			continue
		}
		p.sequence(behind, i, match.Match{Length: q.length, Distance: q.distance})
		i += int(q.length)
		behind = i
	}
	return behind
}

// sequence adds the literals from behind to i, and the match there.
func (p *packer) sequence(behind, i int, m match.Match) {
	literals := p.data[behind:i]
	q := sequence{literals: int32(len(literals)), length: m.Length}
	q.offset, p.repeat = p.repeat.use(m.Distance, len(literals) == 0)
	p.literals = append(p.literals, literals...)
	p.sequences = append(p.sequences, q)
	if p.hasty == nil {
		p.stats.count(literals, q)
	}
}
