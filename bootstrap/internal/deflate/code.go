package deflate

import (
	"math/bits"

	"github.com/mitosis-go/mitosis/bootstrap/internal/entropy"
)

// A code is a Huffman code: by symbol how long its word is, 0 for one that does
// not occur, and the word, its first bit lowest.
type code struct {
	lengths []uint8
	words   []uint16
}

// newCode gives out words, by length and then by symbol.
func newCode(counts []int32, limit int) code {
	c := code{entropy.Lengths(counts, limit), make([]uint16, len(counts))}
	var next, n [17]int
	for _, l := range c.lengths {
		n[l]++
	}
	n[0] = 0
	for l := 1; l < len(next); l++ {
		next[l] = (next[l-1] + n[l-1]) << 1
	}
	for i, l := range c.lengths {
		if l > 0 {
			c.words[i] = bits.Reverse16(uint16(next[l])) >> (16 - l)
			next[l]++
		}
	}
	return c
}

func (c *code) write(w *entropy.Writer, symbol int) {
	w.Bits(uint64(c.words[symbol]), uint(c.lengths[symbol]))
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
	counts := make([]int32, len(lengthOrder))
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

func (h *header) write(w *entropy.Writer) {
	w.Bits(uint64(h.nLit-257), 5)
	w.Bits(uint64(h.nDist-1), 5)
	w.Bits(uint64(h.n-4), 4)
	for _, i := range lengthOrder[:h.n] {
		w.Bits(uint64(h.code.lengths[i]), 3)
	}
	for _, r := range h.symbols {
		h.code.write(w, r.symbol)
		w.Bits(uint64(r.extra), uint(r.bits))
	}
}
