package deflate

import "github.com/mitosis-go/mitosis/bootstrap/internal/entropy"

// A stretch of data is cut into pieces, of which blocks are made.
const (
	stretch   = 128 << 10 // bytes; also the most that a block has, but for a match across its end
	pieceSize = 4 << 10   // bytes
)

// What a block's description takes: so many bits, and so many for each symbol. The first is
// more than it is, because what codes are good for is known only roughly.
const (
	blockBits  = 200
	symbolBits = 3
)

// A piece is what may become a block, or a part of one.
type piece struct {
	counts
	bytes int
	cost  int // as a block of its own, in units of 1/entropy.Bit bits
	saves int // what is saved by joining it and the next, in the same units; below 0 for the last
}

// split sets p.pieces to the blocks that a stretch of data should become. Their counts are
// of samples.
func (p *packer) split(from, to int) {
	p.pieces = p.pieces[:0]
	var all counts
	// There is one piece at least, for no data as well.
	for i := from; i < to || i == from; i += pieceSize {
		b := piece{bytes: min(pieceSize, to-i)}
		p.symbols = p.symbols[:0]
		p.way(from, i, min(i+p.sample, to))
		b.count(p.symbols)
		b.cost = b.price()
		p.pieces = append(p.pieces, b)
		all.add(&b.counts)
		p.parse.learn(&all)
	}
	p.merge()
}

// merge joins neighbours, those first where it saves most, as long as it saves anything.
func (p *packer) merge() {
	for i := range p.pieces {
		p.compare(i)
	}
	for {
		best := 0
		for i := range p.pieces {
			if p.pieces[i].saves > p.pieces[best].saves {
				best = i
			}
		}
		a := &p.pieces[best]
		if a.saves < 0 {
			return
		}
		b := &p.pieces[best+1]
		a.add(&b.counts)
		a.bytes += b.bytes
		a.cost += b.cost - a.saves
		p.pieces = append(p.pieces[:best+1], p.pieces[best+2:]...)
		p.compare(max(best-1, 0))
		p.compare(best)
	}
}

// compare sets what is saved by joining a piece and the next.
func (p *packer) compare(i int) {
	a := &p.pieces[i]
	if a.saves = -1; i+1 < len(p.pieces) {
		b := &p.pieces[i+1]
		both := a.counts
		both.add(&b.counts)
		a.saves = a.cost + b.cost - both.price()
	}
}

// counts say how often each symbol is used.
type counts struct {
	lits  [literals]int32
	dists [distances]int32
}

func (c *counts) add(d *counts) {
	for i, n := range d.lits {
		c.lits[i] += n
	}
	for i, n := range d.dists {
		c.dists[i] += n
	}
}

// count adds symbols, and returns how many extra bits follow their words.
func (c *counts) count(symbols []symbol) (extras int) {
	for _, s := range symbols {
		if s.distance == 0 {
			c.lits[s.length]++
			continue
		}
		l, _, n := lengthSymbol(int(s.length))
		d, _, m := distanceSymbol(int(s.distance))
		c.lits[l]++
		c.dists[d]++
		extras += n + m
	}
	return extras
}

// price is what a block costs that has these counts, but for extra bits.
func (c *counts) price() int {
	sum := blockBits * entropy.Bit
	for _, counts := range [...][]int32{c.lits[:], c.dists[:]} {
		total := 0
		for _, n := range counts {
			if n > 0 {
				sum += symbolBits*entropy.Bit - int(n)*int(entropy.Log2(uint32(n)))
				total += int(n)
			}
		}
		if total > 0 {
			sum += total * int(entropy.Log2(uint32(total)))
		}
	}
	return sum
}
