package deflate

import (
	"github.com/mitosis-go/mitosis/bootstrap/internal/entropy"
	"github.com/mitosis-go/mitosis/bootstrap/internal/match"
)

// A parse holds what is known of a stretch: its matches, and the cheapest way from
// each position to the end of a part.
type parse struct {
	matches []match.Match
	first   []int32 // by position: the first of its matches; and one more for the end
	cost    []int32 // by position in the part, and that of the end, which is 0
	step    []symbol

	litPrice      [literals]int32
	lengthPrice   [maxMatch + 1]int32
	distancePrice [distances]int32
}

// begin makes room for stretches of so many bytes, and sets prices before anything is
// known. Slices that grow would leave several times as much behind.
func (p *parse) begin(size int) {
	p.matches = make([]match.Match, 0, 3*size)
	p.first = make([]int32, 0, size+1)
	p.cost, p.step = make([]int32, size+1), make([]symbol, size)
	for i := range p.litPrice {
		p.litPrice[i] = 7 * entropy.Bit
	}
	for i := range p.distancePrice {
		p.distancePrice[i] = 4 * entropy.Bit
	}
	p.setLengths()
}

// learn sets prices by how often symbols were used.
func (p *parse) learn(c *counts) {
	entropy.Prices(p.litPrice[:], c.lits[:], entropy.Bit/2)
	entropy.Prices(p.distancePrice[:], c.dists[:], entropy.Bit/2)
	for i := range p.distancePrice {
		p.distancePrice[i] += int32(max(0, i/2-1)) * entropy.Bit
	}
	p.setLengths()
}

func (p *parse) setLengths() {
	for n := minMatch; n <= maxMatch; n++ {
		symbol, _, extra := lengthSymbol(n)
		p.lengthPrice[n] = p.litPrice[symbol] + int32(extra)*entropy.Bit
	}
}

// gather finds the matches of the stretch that begins at a position, and where it
// ends.
//
//go:norace
func (p *packer) gather(from int) (to int) {
	w := &p.parse
	w.matches, w.first = w.matches[:0], w.first[:0]
	begin, end := from, from // of the long match that reaches farthest
	i := from
	for i < len(p.data) && i-from < stretch {
		w.first = append(w.first, int32(len(w.matches)))
		if i < begin+2 || i+1 >= end {
			w.matches = p.finder.Append(w.matches, i, 0)
		}
		best := 0
		if n := len(w.matches); n > int(w.first[i-from]) {
			best = int(w.matches[n-1].Length)
		}
		if best >= p.quiet && i+best > end {
			begin, end = i, i+best
		}
		i++
		if best >= p.Nice {
			// Taken as it is.
			p.finder.Skip(end)
			for ; i < end; i++ {
				w.first = append(w.first, int32(len(w.matches)))
			}
		}
	}
	w.first = append(w.first, int32(len(w.matches)))
	return i
}

// way adds the cheapest way through a part of the stretch that begins at start.
func (p *packer) way(start, from, to int) {
	p.parse.walk(p.data[from:to], from-start, p.Nice)
	for i := 0; i < to-from; {
		s := p.parse.step[i]
		p.symbols = append(p.symbols, s)
		if s.distance == 0 {
			i++
		} else {
			i += int(s.length)
		}
	}
}

// walk finds the cheapest way from each position to the end, beginning with
// the last. Matches of nice bytes are taken as they are.
//
//go:norace
func (w *parse) walk(data []byte, at, nice int) {
	n := len(data)
	cost, step := w.cost[:n+1], w.step[:n]
	cost[n] = 0
	first := w.first[at:]
	for i := n - 1; i >= 0; i-- {
		best := cost[i+1] + w.litPrice[data[i]]
		take := symbol{length: uint16(data[i])}
		length := minMatch
		for _, m := range w.matches[first[i]:first[i+1]] {
			end := min(int(m.Length), n-i)
			d, _, _ := distanceSymbol(int(m.Distance))
			base := w.distancePrice[d]
			if end >= nice {
				length = end // else zeros would take much time
			}
			if length > end {
				continue
			}
			after := cost[i+length : i+end+1]
			prices := w.lengthPrice[length:][:len(after)]
			for k, c := range after {
				if c += base + prices[k]; c < best {
					best, take = c, symbol{uint16(length + k), uint16(m.Distance)}
				}
			}
			length = end + 1
		}
		cost[i], step[i] = best, take
	}
}
