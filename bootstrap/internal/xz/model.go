package xz

import "math/bits"

// Of LZMA, with the usual three numbers: literals depend on three bits of the
// byte before, and much else on the position modulo four.
const (
	literalBits = 3
	posBits     = 2
	posMask     = 1<<posBits - 1
	properties  = (posBits*5+0)*9 + literalBits

	states     = 12
	minMatch   = 2
	maxMatch   = 273
	slots      = 64
	modelSlots = 14  // distances of slots from here on have bits without probability
	modelled   = 128 // distances below that have none
	alignBits  = 4
)

// A state says what the last symbols were. Those below 7 end with a literal.
type state uint8

func (s state) afterLiteral() state {
	switch {
	case s < 4:
		return 0
	case s < 10:
		return s - 3
	}
	return s - 6
}

// after is the state after another symbol: those that are given are by whether
// the symbol before was a literal.
func (s state) after(literal, other state) state {
	if s < 7 {
		return literal
	}
	return other
}

func (s state) afterMatch() state   { return s.after(7, 10) }
func (s state) afterRepeat() state  { return s.after(8, 11) }
func (s state) afterOneByte() state { return s.after(9, 11) }
func (s state) behindLiteral() bool { return s < 7 }

// A model holds all probabilities.
type model struct {
	isMatch             [states][1 << posBits]prob
	isRepeat            [states]prob
	notFirst            [states]prob               // of the last four distances, another than the last
	isLonger            [states][1 << posBits]prob // the last distance, more than one byte
	notSecond, notThird [states]prob

	literal [1 << literalBits][0x300]prob
	slot    [4][slots]prob // by length
	near    [modelled]prob
	align   [1 << alignBits]prob
	length  [2]lengths // of matches, and of those with one of the last distances
}

type lengths struct {
	notLow, notMid prob
	low, mid       [1 << posBits][8]prob
	high           [256]prob
}

func fill(p []prob) {
	for i := range p {
		p[i] = half
	}
}

func (m *model) reset() {
	for i := range states {
		fill(m.isMatch[i][:])
		fill(m.isLonger[i][:])
	}
	for _, p := range []*[states]prob{&m.isRepeat, &m.notFirst, &m.notSecond, &m.notThird} {
		fill(p[:])
	}
	for i := range m.literal {
		fill(m.literal[i][:])
	}
	for i := range m.slot {
		fill(m.slot[i][:])
	}
	fill(m.near[:])
	fill(m.align[:])
	for i := range m.length {
		l := &m.length[i]
		l.notLow, l.notMid = half, half
		for pos := range l.low {
			fill(l.low[pos][:])
			fill(l.mid[pos][:])
		}
		fill(l.high[:])
	}
}

// literals are the probabilities of a byte behind another.
func (m *model) literals(before byte) *[0x300]prob { return &m.literal[before>>(8-literalBits)] }

// distanceSlot is the slot of a distance less one, and the number of bits that
// are written behind it.
func distanceSlot(d uint32) (slot uint32, more int) {
	if d < 4 {
		return d, 0
	}
	n := bits.Len32(d) - 1
	return uint32(2*n) | d>>(n-1)&1, n - 1
}

// ofLength says which probabilities a slot has.
func ofLength(n int) int { return min(n-minMatch, 3) }

// nearSkip is where the probabilities of a slot's further bits begin.
func nearSkip(slot uint32, more int) int { return int((2|slot&1)<<more) - int(slot) - 1 }

// writeByte writes a literal where match is the byte at the last distance.
//
//go:norace
func (c *coder) writeByte(p *[0x300]prob, b byte, s state, match byte) {
	if s.behindLiteral() {
		c.tree(p[:], 8, uint32(b))
		return
	}
	// Whatever is as in that byte, up to the first bit that is not, has
	// probabilities of its own.
	symbol, m, offset := uint32(b)|0x100, uint32(match), uint32(0x100)
	for symbol < 0x10000 {
		m <<= 1
		c.bit(&p[offset+m&offset+symbol>>8], symbol>>7&1)
		symbol <<= 1
		offset &^= m ^ symbol
	}
}

//go:norace
func bytePrice(p *[0x300]prob, b byte, s state, match byte) (sum price) {
	if s.behindLiteral() {
		return treePrice(p[:], 8, uint32(b))
	}
	symbol, m, offset := uint32(b)|0x100, uint32(match), uint32(0x100)
	for symbol < 0x10000 {
		m <<= 1
		sum += p[offset+m&offset+symbol>>8].price(symbol >> 7 & 1)
		symbol <<= 1
		offset &^= m ^ symbol
	}
	return sum
}

//go:norace
func (c *coder) writeLength(l *lengths, n, pos int) {
	v := uint32(n - minMatch)
	switch {
	case v < 8:
		c.bit(&l.notLow, 0)
		c.tree(l.low[pos][:], 3, v)
	case v < 16:
		c.bit(&l.notLow, 1)
		c.bit(&l.notMid, 0)
		c.tree(l.mid[pos][:], 3, v-8)
	default:
		c.bit(&l.notLow, 1)
		c.bit(&l.notMid, 1)
		c.tree(l.high[:], 8, v-16)
	}
}

//go:norace
func (l *lengths) setPrices(table *[1 << posBits][maxMatch + 1]price) {
	mid := l.notLow.price(1) + l.notMid.price(0)
	high := l.notLow.price(1) + l.notMid.price(1)
	for pos := range table {
		t := &table[pos]
		for v := range uint32(8) {
			t[minMatch+v] = l.notLow.price(0) + treePrice(l.low[pos][:], 3, v)
			t[minMatch+8+v] = mid + treePrice(l.mid[pos][:], 3, v)
		}
		for v := range uint32(256) {
			t[minMatch+16+v] = high + treePrice(l.high[:], 8, v)
		}
	}
}

// writeDistance writes a distance of a match of n bytes.
//
//go:norace
func (c *coder) writeDistance(m *model, distance uint32, n int) {
	d := distance - 1
	slot, more := distanceSlot(d)
	c.tree(m.slot[ofLength(n)][:], 6, slot)
	switch {
	case more == 0:
	case slot < modelSlots:
		c.reverse(m.near[:], nearSkip(slot, more), more, d)
	default:
		c.direct(d>>alignBits&(1<<(more-alignBits)-1), more-alignBits)
		c.reverse(m.align[:], 0, alignBits, d)
	}
}
