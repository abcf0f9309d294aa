package xz

import "math/bits"

// A prob is the probability that a bit is 0, of 1<<probBits.
type prob uint16

const (
	probBits = 11
	half     = 1 << (probBits - 1)
	moveBits = 5 // how slowly a probability follows
)

// A coder is a range coder: it writes bits in as much room as their probability
// says.
type coder struct {
	low   uint64
	width uint32
	first byte // held back, because a carry may reach it
	held  int  // that byte, and those of 0xff behind it
	out   []byte
}

// begin starts a stream of its own behind what is in out.
func (c *coder) begin() { c.low, c.width, c.first, c.held = 0, 1<<32-1, 0, 1 }

// pending is at most how many bytes end will append.
func (c *coder) pending() int { return c.held + 5 }

// end writes what is left.
func (c *coder) end() {
	for range 5 {
		c.shift()
	}
}

//go:norace
func (c *coder) shift() {
	if uint32(c.low) < 0xff000000 || c.low>>32 != 0 {
		carry := byte(c.low >> 32)
		b := c.first
		for ; c.held > 0; c.held-- {
			c.out = append(c.out, b+carry)
			b = 0xff
		}
		c.first = byte(c.low >> 24)
	}
	c.held++
	c.low = c.low & 0x00ffffff << 8
}

// bit writes a bit, and has its probability follow.
//
//go:norace
func (c *coder) bit(p *prob, bit uint32) {
	bound := c.width >> probBits * uint32(*p)
	if bit == 0 {
		c.width = bound
		*p += (1<<probBits - *p) >> moveBits
	} else {
		c.low += uint64(bound)
		c.width -= bound
		*p -= *p >> moveBits
	}
	for c.width < 1<<24 {
		c.width <<= 8
		c.shift()
	}
}

// tree writes n bits, the most significant first, each with a probability that
// depends on those before.
//
//go:norace
func (c *coder) tree(p []prob, n int, v uint32) {
	m := uint32(1)
	for i := n - 1; i >= 0; i-- {
		bit := v >> i & 1
		c.bit(&p[m], bit)
		m = m<<1 | bit
	}
}

// reverse is tree with the least significant bit first. Its first probability is
// that of index 1 in p, from skip on.
//
//go:norace
func (c *coder) reverse(p []prob, skip, n int, v uint32) {
	m := 1
	for range n {
		bit := v & 1
		c.bit(&p[skip+m], bit)
		m = m<<1 | int(bit)
		v >>= 1
	}
}

// direct writes n bits without any probability.
//
//go:norace
func (c *coder) direct(v uint32, n int) {
	for i := n - 1; i >= 0; i-- {
		c.width >>= 1
		if v>>i&1 != 0 {
			c.low += uint64(c.width)
		}
		for c.width < 1<<24 {
			c.width <<= 8
			c.shift()
		}
	}
}

// A price is in sixteenths of a bit.
type price = uint32

const (
	bitPrice = 1 << 4
	never    = 1 << 30
)

// prices are by the sixteenth part of a probability.
var prices = func() (table [1 << (probBits - 4)]uint8) {
	for i := range table {
		// The logarithm, bit by bit, by squaring.
		w := uint32(i)<<4 + 8
		log := uint32(0)
		for range 4 {
			w *= w
			log <<= 1
			if n := bits.Len32(w); n > 16 {
				w >>= n - 16
				log += uint32(n - 16)
			}
		}
		table[i] = uint8(probBits<<4 - 15 - log)
	}
	return table
}()

//go:norace
func (p prob) price(bit uint32) price {
	return price(prices[(uint32(p)^-bit&(1<<probBits-1))>>4])
}

//go:norace
func treePrice(p []prob, n int, v uint32) (sum price) {
	m := uint32(1)
	for i := n - 1; i >= 0; i-- {
		bit := v >> i & 1
		sum += p[m].price(bit)
		m = m<<1 | bit
	}
	return sum
}

//go:norace
func reversePrice(p []prob, skip, n int, v uint32) (sum price) {
	m := 1
	for range n {
		bit := v & 1
		sum += p[skip+m].price(bit)
		m = m<<1 | int(bit)
		v >>= 1
	}
	return sum
}
