package deflate

import (
	"encoding/binary"
	"math/bits"
)

// enter makes the positions before i known.
func (p *packer) enter(i int) {
	for ; p.next < i && p.next+4 <= len(p.data); p.next++ {
		four := binary.LittleEndian.Uint32(p.data[p.next:])
		h := hash(four)
		p.chain[p.next%window] = p.heads[h]
		p.heads[h] = int32(p.next + 1)
		p.heads3[hash(four<<8)] = int32(p.next + 1)
	}
}

func hash(b uint32) uint32 { return b * 0x9e3779b1 >> (32 - hashBits) }

// match returns the longest match at i that is longer than atLeast, or 0.
func (p *packer) match(i, atLeast, tries int) (length, distance int) {
	p.enter(i)
	if i+4 > len(p.data) {
		return 0, 0
	}
	here := p.data[i:min(i+maxMatch, len(p.data))]
	four := binary.LittleEndian.Uint32(here)
	best := atLeast
	if best < minMatch {
		at := int(p.heads3[hash(four<<8)]) - 1
		if at >= 0 && i-at <= far && binary.LittleEndian.Uint32(p.data[at:])<<8 == four<<8 {
			best, distance = minMatch, i-at
		}
	}
	if best >= len(here) {
		return found(best, distance)
	}
	for at := int(p.heads[hash(four)]) - 1; at >= 0 && i-at <= window && tries > 0; tries-- {
		there := p.data[at:]
		if there[best] == here[best] && binary.LittleEndian.Uint32(there) == four {
			if n := common(here, there); n > best {
				best, distance = n, i-at
				if n >= nice || n == len(here) {
					break
				}
			}
		}
		before := int(p.chain[at%window]) - 1
		if before >= at {
			break // overwritten since
		}
		at = before
	}
	return found(best, distance)
}

func found(length, distance int) (int, int) {
	if distance == 0 {
		return 0, 0
	}
	return length, distance
}

// common is how many bytes a and the longer b begin with in common.
func common(a, b []byte) int {
	b = b[:len(a)]
	n := 0
	for ; n+8 <= len(a); n += 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}
