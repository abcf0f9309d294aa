package zstd

import "github.com/mitosis-go/mitosis/bootstrap/internal/entropy"

// Of RFC 8878, 3.1.1.3.1.
const (
	literalsRaw        = 0
	literalsRLE        = 1
	literalsCompressed = 2

	wordBits    = 11  // of a literal
	oneStream   = 256 // literals; below, four streams are not worth their lengths
	weightLog   = 6   // of the table for weights
	mostWeights = 128 // that can be described directly
	fewest      = 32  // literals; below, a code is not worth its description
)

// writeLiterals is the first section of a block: the literals of all sequences,
// in a Huffman code if that is less.
func (p *packer) writeLiterals() {
	var counts [256]int32
	for _, b := range p.literals {
		counts[b]++
	}
	n := len(p.literals)
	if n > 0 && int(counts[p.literals[0]]) == n {
		p.out = append(literalsHeader(p.out, literalsRLE, n), p.literals[0])
		return
	}
	if n >= fewest {
		start := len(p.out)
		if p.writeCompressed(&counts) && len(p.out)-start < n {
			return
		}
		p.out = p.out[:start]
	}
	p.out = append(literalsHeader(p.out, literalsRaw, n), p.literals...)
}

// literalsHeader is for literals that have no code.
func literalsHeader(dst []byte, kind, n int) []byte {
	switch {
	case n < 1<<5:
		return append(dst, byte(kind|n<<3))
	case n < 1<<12:
		return append(dst, byte(kind|1<<2|n<<4), byte(n>>4))
	}
	return append(dst, byte(kind|3<<2|n<<4), byte(n>>4), byte(n>>12))
}

// writeCompressed is false where the code can't be described.
func (p *packer) writeCompressed(counts *[256]int32) bool {
	lengths := entropy.Lengths(counts[:], wordBits)
	n := len(p.literals)
	format, width := 0, 10 // of the lengths in the header, in bits
	switch {
	case n >= 1<<14:
		format, width = 3, 18
	case n >= 1<<10:
		format, width = 2, 14
	case n >= oneStream:
		format = 1
	}
	start := len(p.out)
	header := (4 + 2*width) / 8
	p.out = append(p.out, make([]byte, header)...)
	ok := false
	if p.out, ok = appendWeights(p.out, lengths); !ok {
		return false
	}
	words := words(lengths)
	if format == 0 {
		p.out = appendStream(p.out, p.literals, lengths, words)
	} else {
		quarter := (n + 3) / 4
		jump := len(p.out)
		p.out = append(p.out, make([]byte, 6)...)
		for i := range 4 {
			from := len(p.out)
			p.out = appendStream(p.out, p.literals[i*quarter:min((i+1)*quarter, n)], lengths, words)
			if i < 3 {
				size := len(p.out) - from
				p.out[jump+2*i], p.out[jump+2*i+1] = byte(size), byte(size>>8)
			}
		}
	}
	packed := len(p.out) - start - header
	if packed >= 1<<width {
		return false
	}
	bits := uint64(literalsCompressed|format<<2|n<<4) | uint64(packed)<<(4+width)
	for i := range header {
		p.out[start+i] = byte(bits >> (8 * i))
	}
	return true
}

// appendStream writes literals, the last first, since they are read from the
// end.
func appendStream(dst, literals []byte, lengths []uint8, words []uint16) []byte {
	w := entropy.Writer{Out: dst}
	for i := len(literals) - 1; i >= 0; i-- {
		b := literals[i]
		w.Bits(uint64(words[b]), uint(lengths[b]))
	}
	return closed(&w)
}

// words gives out words of the lengths: the longest first, then by symbol.
func words(lengths []uint8) []uint16 {
	var n, next [wordBits + 1]uint16
	for _, l := range lengths {
		n[l]++
	}
	word := uint16(0)
	for l := wordBits; l > 0; l-- {
		next[l] = word
		word = (word + n[l]) >> 1
	}
	words := make([]uint16, len(lengths))
	for i, l := range lengths {
		if l > 0 {
			words[i] = next[l]
			next[l]++
		}
	}
	return words
}

// appendWeights describes a code (RFC 8878, 4.2.1): the weight of a symbol is 0, or
// the higher the shorter its word. The last one is not sent, it follows from the
// others. It is false where that can't be done.
func appendWeights(dst []byte, lengths []uint8) ([]byte, bool) {
	last := len(lengths) - 1
	for lengths[last] == 0 {
		last--
	}
	longest := uint8(0)
	for _, l := range lengths {
		longest = max(longest, l)
	}
	weights := make([]uint8, last, last+1)
	var counts [wordBits + 2]int32
	for i, l := range lengths[:last] {
		if l > 0 {
			weights[i] = longest + 1 - l
		}
		counts[weights[i]]++
	}
	start := len(dst)
	if last > 1 && int(counts[weights[0]]) < last {
		dst = appendCodedWeights(append(dst, 0), weights, counts[:])
		size := len(dst) - start - 1
		if size < 128 && (size < (last+1)/2 || last > mostWeights) {
			dst[start] = byte(size)
			return dst, true
		}
		dst = dst[:start]
	}
	if last > mostWeights {
		return dst, false
	}
	dst = append(dst, byte(127+last))
	weights = append(weights, 0)
	for i := 0; i < last; i += 2 {
		dst = append(dst, weights[i]<<4|weights[i+1])
	}
	return dst, true
}

// appendCodedWeights writes weights by a table of their own, with two states in
// turn.
func appendCodedWeights(dst []byte, weights []uint8, counts []int32) []byte {
	s := shares(counts, weightLog)
	w := entropy.Writer{Out: dst}
	writeShares(&w, s, weightLog)
	w.Align()
	t := newTable(s, weightLog)
	n := len(weights)
	var states [2]uint32
	states[(n-1)&1] = t.begin(weights[n-1])
	states[n&1] = t.begin(weights[n-2])
	for i := n - 3; i >= 0; i-- {
		states[i&1] = t.write(&w, states[i&1], weights[i])
	}
	t.end(&w, states[1])
	t.end(&w, states[0])
	return closed(&w)
}
