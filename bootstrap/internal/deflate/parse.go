package deflate

import (
	"github.com/mitosis-go/mitosis/bootstrap/internal/entropy"
	"github.com/mitosis-go/mitosis/bootstrap/internal/match"
)

// So many bytes of so many are the part of a block that tells what its codes will
// be like.
const (
	sample      = 1 << 10
	sampleEvery = 4 << 10
)

// A parse holds what is known of a block: its matches, and the cheapest way from
// each position to its end.
type parse struct {
	matches []match.Match
	first   []int32 // by position: the first of its matches; and one more for the end
	cost    []int32 // by position, and that of the end, which is 0
	step    []symbol

	litPrice      [literals]int32
	lengthPrice   [maxMatch + 1]int32
	distancePrice [distances]int32
}

// guess sets prices before anything is known.
func (p *parse) guess() {
	for i := range p.litPrice {
		p.litPrice[i] = 7 * entropy.Bit
	}
	for i := range p.distancePrice {
		p.distancePrice[i] = 4 * entropy.Bit
	}
	p.setLengths()
}

// learn sets prices by how often symbols were used.
func (p *parse) learn(lits, dists []int32) {
	entropy.Prices(p.litPrice[:], lits, entropy.Bit/2)
	entropy.Prices(p.distancePrice[:], dists, entropy.Bit/2)
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

// A match of so many bytes is worth no search for others within it, but for its
// first two positions and its last.
const quiet = 16

// gather finds the matches of the block that begins at a position, and where it
// should end.
//
//go:norace
func (p *packer) gather(from int) (to int) {
	w := &p.parse
	w.matches, w.first = w.matches[:0], w.first[:0]
	seen := from             // what was counted by the splitter
	begin, end := from, from // of the long match that reaches farthest
	i := from
	for i < len(p.data) && !p.split.due(i-from, len(p.data)-i) {
		w.first = append(w.first, int32(len(w.matches)))
		if i < begin+2 || i+1 >= end {
			w.matches = p.finder.Append(w.matches, i, 0)
		}
		best := 0
		if n := len(w.matches); n > int(w.first[i-from]) {
			best = int(w.matches[n-1].Length)
		}
		if best >= quiet && i+best > end {
			begin, end = i, i+best
		}
		if i >= seen {
			seen += p.observe(i, best)
		}
		i++
		if best >= limits.Nice {
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

// observe tells the splitter what a simple packer would do at i, and returns how
// many bytes that stands for.
func (p *packer) observe(i, length int) int {
	if length <= minMatch {
		p.split.literal(p.data[i])
		return 1
	}
	p.split.match(length)
	return length
}

// choose fills p.symbols with the cheapest way through a block. What the codes
// of the block will be is guessed from the ways through a part of it.
func (p *packer) choose(from, to int) {
	p.symbols = p.symbols[:0]
	for i := from; i < to; i += sampleEvery {
		p.way(from, i, min(i+sample, to))
	}
	lits, dists, _ := p.count()
	p.parse.learn(lits[:], dists[:])
	p.symbols = p.symbols[:0]
	p.way(from, from, to)
}

// way adds the cheapest way through a part of a block.
func (p *packer) way(block, from, to int) {
	p.parse.walk(p.data[from:to], from-block)
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
// the last.
//
//go:norace
func (w *parse) walk(data []byte, at int) {
	n := len(data)
	if cap(w.cost) <= n {
		w.cost, w.step = make([]int32, n+1), make([]symbol, n+1)
	}
	cost, step := w.cost[:n+1], w.step[:n+1]
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
			if end >= limits.Nice {
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
