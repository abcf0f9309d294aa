package deflate

import (
	"encoding/binary"
	"math/bits"
)

// Of RFC 1951, 3.2.5 to 3.2.7.
const (
	endOfBlock = 256
	literals   = 286
	distances  = 30
	lengthBits = 7  // of the words that describe the codes
	wordBits   = 15 // of all others

	blockStored  = 0
	blockDynamic = 2
)

var lengthOrder = [19]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// lengthSymbol is the symbol of a match's length, and its extra bits.
func lengthSymbol(length int) (symbol, extra, n int) {
	switch {
	case length == maxMatch:
		return 285, 0, 0
	case length < 11:
		return 254 + length, 0, 0
	}
	n = bits.Len(uint(length-3)) - 3
	return 257 + n*4 + (length-3)>>n, (length - 3) & (1<<n - 1), n
}

// distanceSymbol is the same for its distance.
func distanceSymbol(distance int) (symbol, extra, n int) {
	if distance < 5 {
		return distance - 1, 0, 0
	}
	n = bits.Len(uint(distance-1)) - 2
	return n*2 + (distance-1)>>n, (distance - 1) & (1<<n - 1), n
}

// block writes what is in p.symbols, which stands for p.data[from:to].
func (p *packer) block(from, to int, last bool) {
	lits, dists := make([]int, literals), make([]int, distances)
	lits[endOfBlock] = 1
	extras := 0
	for _, s := range p.symbols {
		if s.distance == 0 {
			lits[s.length]++
			continue
		}
		l, _, n := lengthSymbol(int(s.length))
		d, _, m := distanceSymbol(int(s.distance))
		lits[l]++
		dists[d]++
		extras += n + m
	}
	lit, dist := newCode(lits, wordBits), newCode(dists, wordBits)
	h := newHeader(lit, dist)
	size := h.bits() + extras
	for i, n := range lits {
		size += n * int(lit.lengths[i])
	}
	for i, n := range dists {
		size += n * int(dist.lengths[i])
	}
	if size >= 8*(to-from)+64 {
		p.out.stored(p.data[from:to], last)
	} else {
		p.out.bits(blockType(blockDynamic, last), 3)
		h.write(&p.out)
		p.writeSymbols(lit, dist)
	}
	p.symbols = p.symbols[:0]
}

func (p *packer) writeSymbols(lit, dist code) {
	word := func(c code, i int) { p.out.bits(uint64(c.words[i]), uint(c.lengths[i])) }
	for _, s := range p.symbols {
		if s.distance == 0 {
			word(lit, int(s.length))
			continue
		}
		l, extra, n := lengthSymbol(int(s.length))
		word(lit, l)
		p.out.bits(uint64(extra), uint(n))
		d, extra, n := distanceSymbol(int(s.distance))
		word(dist, d)
		p.out.bits(uint64(extra), uint(n))
	}
	word(lit, endOfBlock)
}

func blockType(kind uint64, last bool) uint64 {
	if last {
		return kind<<1 | 1
	}
	return kind << 1
}

// A header describes the codes of a block: the lengths of their words, as
// symbols of a code of its own.
type header struct {
	nLit, nDist int
	symbols     []lengthRun
	code        code
	n           int // how many lengths of that code are sent
}

// A lengthRun is a symbol of a header: a length, or 16 to 18 for repetitions.
type lengthRun struct{ symbol, extra, bits int }

func newHeader(lit, dist code) *header {
	h := &header{nLit: literals, nDist: distances}
	for lit.lengths[h.nLit-1] == 0 {
		h.nLit--
	}
	for h.nDist > 1 && dist.lengths[h.nDist-1] == 0 {
		h.nDist--
	}
	all := append(append([]uint8(nil), lit.lengths[:h.nLit]...), dist.lengths[:h.nDist]...)
	for i := 0; i < len(all); {
		n := 1
		for i+n < len(all) && all[i+n] == all[i] {
			n++
		}
		h.run(int(all[i]), n)
		i += n
	}
	counts := make([]int, len(lengthOrder))
	for _, r := range h.symbols {
		counts[r.symbol]++
	}
	h.code = newCode(counts, lengthBits)
	for h.n = len(lengthOrder); h.n > 4 && h.code.lengths[lengthOrder[h.n-1]] == 0; {
		h.n--
	}
	return h
}

// run adds n lengths that are the same.
func (h *header) run(length, n int) {
	if length > 0 {
		h.symbols = append(h.symbols, lengthRun{length, 0, 0})
		n--
	}
	for n > 0 {
		switch {
		case n < 3:
			h.symbols = append(h.symbols, lengthRun{length, 0, 0})
			n--
		case length > 0:
			k := min(n, 6)
			h.symbols = append(h.symbols, lengthRun{16, k - 3, 2})
			n -= k
		case n < 11:
			h.symbols = append(h.symbols, lengthRun{17, n - 3, 3})
			n = 0
		default:
			k := min(n, 138)
			h.symbols = append(h.symbols, lengthRun{18, k - 11, 7})
			n -= k
		}
	}
}

func (h *header) bits() int {
	size := 3 + 5 + 5 + 4 + 3*h.n
	for _, r := range h.symbols {
		size += int(h.code.lengths[r.symbol]) + r.bits
	}
	return size
}

func (h *header) write(w *bitWriter) {
	w.bits(uint64(h.nLit-257), 5)
	w.bits(uint64(h.nDist-1), 5)
	w.bits(uint64(h.n-4), 4)
	for _, i := range lengthOrder[:h.n] {
		w.bits(uint64(h.code.lengths[i]), 3)
	}
	for _, r := range h.symbols {
		w.bits(uint64(h.code.words[r.symbol]), uint(h.code.lengths[r.symbol]))
		w.bits(uint64(r.extra), uint(r.bits))
	}
}

// A bitWriter appends bits to bytes, the lowest first.
type bitWriter struct {
	out  []byte
	held uint64
	n    uint // bits held, below 48
}

// bits writes the n lowest bits of v, at most 16. The others must be 0.
func (w *bitWriter) bits(v uint64, n uint) {
	w.held |= v << w.n
	if w.n += n; w.n >= 48 {
		w.out = binary.LittleEndian.AppendUint32(w.out, uint32(w.held))
		w.out = binary.LittleEndian.AppendUint16(w.out, uint16(w.held>>32))
		w.held >>= 48
		w.n -= 48
	}
}

// align fills up the last byte.
func (w *bitWriter) align() {
	for ; w.n > 0; w.n -= min(w.n, 8) {
		w.out = append(w.out, byte(w.held))
		w.held >>= 8
	}
}

// stored writes data as it is, in blocks of at most 65,535 bytes; an empty one
// for no data.
func (w *bitWriter) stored(data []byte, last bool) {
	for {
		n := min(len(data), 1<<16-1)
		w.bits(blockType(blockStored, last && n == len(data)), 3)
		w.align()
		w.out = binary.LittleEndian.AppendUint16(w.out, uint16(n))
		w.out = binary.LittleEndian.AppendUint16(w.out, ^uint16(n))
		w.out = append(w.out, data[:n]...)
		if data = data[n:]; len(data) == 0 {
			return
		}
	}
}
