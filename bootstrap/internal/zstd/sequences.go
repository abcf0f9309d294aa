package zstd

import (
	"math/bits"

	"github.com/mitosis-go/mitosis/bootstrap/internal/entropy"
)

// Of RFC 8878, 3.1.1.3.2.
const (
	minMatch = 3

	modePredefined = 0
	modeRLE        = 1
	modeCompressed = 2
)

// A kind is one of the three numbers of a sequence: its codes have a table of
// their own.
type kind struct {
	codes      int
	log        int    // of the largest table
	predefined string // shares, plus 1; of 1 << predefinedLog
	preLog     int
}

var (
	literalsKind = kind{36, 9, "\x05\x04\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x02\x02\x02\x03\x03\x03\x03\x03\x03\x03\x03\x03\x04\x03\x02\x02\x02\x02\x02\x00\x00\x00\x00", 6}
	lengthKind   = kind{53, 9, "\x02\x05\x04\x03\x03\x03\x03\x03\x03\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x00\x00\x00\x00\x00\x00\x00", 6}
	offsetKind   = kind{32, 8, "\x02\x02\x02\x02\x02\x02\x03\x03\x03\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x00\x00\x00\x00\x00", 5}
)

// literalsCode is the code of a number of literals, and the extra bits behind
// it.
func literalsCode(n int32) (code uint8, extra uint32, width uint) {
	switch {
	case n < 16:
		return uint8(n), 0, 0
	case n < 24:
		return uint8(16 + (n-16)>>1), uint32(n & 1), 1
	case n < 32:
		return uint8(20 + (n-24)>>2), uint32(n & 3), 2
	case n < 48:
		return uint8(22 + (n-32)>>3), uint32(n & 7), 3
	case n < 64:
		return 24, uint32(n & 15), 4
	}
	width = uint(bits.Len32(uint32(n)) - 1)
	return uint8(width + 19), uint32(n) & (1<<width - 1), width
}

// lengthCode is the same for the length of a match.
func lengthCode(n int32) (code uint8, extra uint32, width uint) {
	n -= minMatch
	switch {
	case n < 32:
		return uint8(n), 0, 0
	case n < 40:
		return uint8(32 + (n-32)>>1), uint32(n & 1), 1
	case n < 48:
		return uint8(36 + (n-40)>>2), uint32(n & 3), 2
	case n < 64:
		return uint8(38 + (n-48)>>3), uint32(n & 7), 3
	case n < 96:
		return uint8(40 + (n-64)>>4), uint32(n & 15), 4
	case n < 128:
		return 42, uint32(n & 31), 5
	}
	width = uint(bits.Len32(uint32(n)) - 1)
	return uint8(width + 36), uint32(n) & (1<<width - 1), width
}

// offsetCode is the same for an offset.
func offsetCode(n int32) (code uint8, extra uint32, width uint) {
	width = uint(bits.Len32(uint32(n)) - 1)
	return uint8(width), uint32(n) & (1<<width - 1), width
}

// writeSequences is the second section of a block.
func (p *packer) writeSequences() {
	n := len(p.sequences)
	switch {
	case n < 128:
		p.out = append(p.out, byte(n))
	case n < 0x7f00:
		p.out = append(p.out, byte(n>>8+128), byte(n))
	default:
		p.out = append(p.out, 255, byte(n-0x7f00), byte((n-0x7f00)>>8))
	}
	if n == 0 {
		return
	}
	var literalsCounts, lengthCounts, offsetCounts [64]int32
	for _, s := range p.sequences {
		a, _, _ := literalsCode(s.literals)
		b, _, _ := lengthCode(s.length)
		c, _, _ := offsetCode(s.offset)
		literalsCounts[a]++
		lengthCounts[b]++
		offsetCounts[c]++
	}
	modes := len(p.out)
	w := entropy.Writer{Out: append(p.out, 0)}
	literals, mode1 := literalsKind.table(&w, &literalsCounts, n)
	offset, mode2 := offsetKind.table(&w, &offsetCounts, n)
	length, mode3 := lengthKind.table(&w, &lengthCounts, n)
	w.Out[modes] = byte(mode1<<6 | mode2<<4 | mode3<<2)

	var inLiterals, inOffset, inLength uint32
	for i := n - 1; i >= 0; i-- {
		s := p.sequences[i]
		a, literalsExtra, literalsWidth := literalsCode(s.literals)
		b, lengthExtra, lengthWidth := lengthCode(s.length)
		c, offsetExtra, offsetWidth := offsetCode(s.offset)
		if i == n-1 {
			inLiterals, inOffset, inLength = literals.begin(a), offset.begin(c), length.begin(b)
		} else {
			inOffset = offset.write(&w, inOffset, c)
			inLength = length.write(&w, inLength, b)
			inLiterals = literals.write(&w, inLiterals, a)
		}
		w.Bits(uint64(literalsExtra), literalsWidth)
		w.Bits(uint64(lengthExtra), lengthWidth)
		low := min(offsetWidth, 16)
		w.Bits(uint64(offsetExtra&(1<<low-1)), low)
		w.Bits(uint64(offsetExtra>>low), offsetWidth-low)
	}
	length.end(&w, inLength)
	offset.end(&w, inOffset)
	literals.end(&w, inLiterals)
	p.out = closed(&w)
}

// table chooses and describes the table for so many codes.
func (k *kind) table(w *entropy.Writer, all *[64]int32, n int) (*table, int) {
	counts := all[:k.codes]
	for i, c := range counts {
		if int(c) == n {
			w.Out = append(w.Out, byte(i))
			one := make([]int16, i+1)
			one[i] = 1
			return newTable(one, 0), modeRLE
		}
	}
	// As few states as still tell so many codes apart.
	log := max(5, min(k.log, bits.Len(uint(n-1))-2))
	different := 0
	for _, c := range counts {
		if c > 0 {
			different++
		}
	}
	log = max(log, bits.Len(uint(different)))
	own := shares(counts, log)
	start := len(w.Out)
	writeShares(w, own, log)
	w.Align()
	pre := make([]int16, len(k.predefined))
	for i := range pre {
		pre[i] = int16(k.predefined[i]) - 1
	}
	if price(counts, pre, k.preLog) <= price(counts, own, log)+int32(len(w.Out)-start)*8*entropy.Bit {
		w.Out = w.Out[:start]
		return newTable(pre, k.preLog), modePredefined
	}
	return newTable(own, log), modeCompressed
}

// price is what codes cost by a table.
func price(counts []int32, shares []int16, log int) int32 {
	sum := int32(0)
	for i, n := range counts {
		if n == 0 {
			continue
		}
		if i >= len(shares) || shares[i] == 0 {
			return 1 << 30
		}
		sum += n * (int32(log)*entropy.Bit - entropy.Log2(uint32(max(1, shares[i]))))
	}
	return sum
}
