package zstd

import (
	"math/bits"

	"github.com/mitosis-go/mitosis/bootstrap/internal/entropy"
)

// A table is a code of finite state entropy (RFC 8878, 4.1), for writing.
type table struct {
	log    int
	states []uint16 // by rank among the occurrences of all symbols
	steps  []step   // by symbol
}

// A step says how to get from one state to the next by a symbol.
type step struct {
	bits uint32 // how many are written, in units of 1<<16, less what makes it one more at the right state
	rank int32  // of the symbol's occurrences, less where its states begin
}

// newTable makes the table for shares of 1<<log. A share of -1 is less than
// one.
func newTable(shares []int16, log int) *table {
	size := 1 << log
	t := &table{log, make([]uint16, size), make([]step, len(shares))}
	symbols := make([]uint8, size)
	high := size - 1
	for i, n := range shares {
		if n == -1 {
			symbols[high] = uint8(i)
			high--
		}
	}
	at := 0
	for i, n := range shares {
		for range n {
			symbols[at] = uint8(i)
			for at = (at + size>>1 + size>>3 + 3) & (size - 1); at > high; {
				at = (at + size>>1 + size>>3 + 3) & (size - 1)
			}
		}
	}
	next := make([]int, len(shares))
	total := 0
	for i, n := range shares {
		next[i] = total
		if n == -1 {
			n = 1
		}
		if n > 0 {
			most := log - bits.Len16(uint16(n-1)) + 1
			if n == 1 {
				most = log
			}
			t.steps[i] = step{uint32(most<<16 - int(n)<<most), int32(total - int(n))}
		}
		total += int(n)
	}
	for i, s := range symbols {
		t.states[next[s]] = uint16(size + i)
		next[s]++
	}
	return t
}

// begin is a state from which a symbol is read without a bit before it.
func (t *table) begin(symbol uint8) uint32 {
	s := t.steps[symbol]
	n := (s.bits + 1<<15) >> 16
	return uint32(t.states[int32((n<<16-s.bits)>>n)+s.rank])
}

// write writes what leads from the state of the symbol before to the one that is
// returned.
func (t *table) write(w *entropy.Writer, state uint32, symbol uint8) uint32 {
	s := t.steps[symbol]
	n := (state + s.bits) >> 16
	w.Bits(uint64(state&(1<<n-1)), uint(n))
	return uint32(t.states[int32(state>>n)+s.rank])
}

func (t *table) end(w *entropy.Writer, state uint32) {
	w.Bits(uint64(state)&(1<<t.log-1), uint(t.log))
}

// shares divides 1<<log by counts. Every symbol that occurs gets some; there must
// be fewer of them than that.
func shares(counts []int32, log int) []int16 {
	total := 0
	for _, n := range counts {
		total += int(n)
	}
	out := make([]int16, len(counts))
	left := 1 << log
	for i, n := range counts {
		if n > 0 {
			out[i] = int16(max(1, (int(n)<<log+total/2)/total))
			left -= int(out[i])
		}
	}
	for left != 0 {
		most := 0
		for i, n := range out {
			if n > out[most] {
				most = i
			}
		}
		// As much as the largest can give, and still be a good share.
		change := max(left, -max(1, int(out[most])/4))
		out[most] += int16(change)
		left -= change
	}
	return out
}

// writeShares is the description of a table (4.1.1). It ends within a byte.
func writeShares(w *entropy.Writer, shares []int16, log int) {
	w.Bits(uint64(log-5), 4)
	left := 1<<log + 1 // and one more, as the format has it
	for i := 0; left > 1; i++ {
		n := int(shares[i])
		width := bits.Len(uint(left))
		short := 1<<width - 1 - left // so many values are a bit shorter
		left -= max(n, -n)
		if n++; n >= 1<<(width-1) {
			n += short
		}
		if n < short {
			width--
		}
		w.Bits(uint64(n), uint(width))
		if shares[i] != 0 {
			continue
		}
		zeros := 0
		for shares[i+1+zeros] == 0 {
			zeros++
		}
		i += zeros
		for ; zeros >= 3; zeros -= 3 {
			w.Bits(3, 2)
		}
		w.Bits(uint64(zeros), 2)
	}
}
