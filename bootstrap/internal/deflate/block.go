package deflate

import (
	"encoding/binary"
	"math/bits"

	"github.com/mitosis-go/mitosis/bootstrap/internal/entropy"
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
	var c counts
	c.lits[endOfBlock] = 1
	size := c.count(p.symbols)
	p.parse.learn(&c)
	lit, dist := newCode(c.lits[:], wordBits), newCode(c.dists[:], wordBits)
	h := newHeader(lit, dist)
	size += h.bits()
	for i, n := range c.lits {
		size += int(n) * int(lit.lengths[i])
	}
	for i, n := range c.dists {
		size += int(n) * int(dist.lengths[i])
	}
	if size >= 8*(to-from)+64 {
		stored(&p.out, p.data[from:to], last)
		return
	}
	p.out.Bits(blockType(blockDynamic, last), 3)
	h.write(&p.out)
	p.writeSymbols(lit, dist)
}

func (p *packer) writeSymbols(lit, dist code) {
	for _, s := range p.symbols {
		if s.distance == 0 {
			lit.write(&p.out, int(s.length))
			continue
		}
		l, extra, n := lengthSymbol(int(s.length))
		lit.write(&p.out, l)
		p.out.Bits(uint64(extra), uint(n))
		d, extra, n := distanceSymbol(int(s.distance))
		dist.write(&p.out, d)
		p.out.Bits(uint64(extra), uint(n))
	}
	lit.write(&p.out, endOfBlock)
}

func blockType(kind uint64, last bool) uint64 {
	if last {
		return kind<<1 | 1
	}
	return kind << 1
}

// stored writes data as it is, in blocks of at most 65,535 bytes; an empty one
// for no data.
func stored(w *entropy.Writer, data []byte, last bool) {
	for {
		n := min(len(data), 1<<16-1)
		w.Bits(blockType(blockStored, last && n == len(data)), 3)
		w.Align()
		w.Out = binary.LittleEndian.AppendUint16(w.Out, uint16(n))
		w.Out = binary.LittleEndian.AppendUint16(w.Out, ^uint16(n))
		w.Out = append(w.Out, data[:n]...)
		if data = data[n:]; len(data) == 0 {
			return
		}
	}
}
