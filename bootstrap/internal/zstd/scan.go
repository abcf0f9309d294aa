package zstd

import (
	"encoding/binary"
	"math/bits"

	"github.com/mitosis-go/mitosis/bootstrap/internal/match"
)

// enough is the length of a match beside which no other is looked for in a hurry.
const enough = 24

// scan is parse in a hurry: at each position the best match, unless the next
// position has a better one.
//
//go:norace
func (p *packer) scan(from, to int) {
	p.literals, p.sequences = p.literals[:0], p.sequences[:0]
	behind := from
	for i := from; i < to; {
		m, worth := p.best(i, to, i == behind)
		if worth <= 0 {
			// The longer nothing has been found, the less is looked for it.
			i += 1 + (i-behind)>>8
			continue
		}
		for i+1 < to && int(m.Length) < enough {
			next, more := p.best(i+1, to, false)
			if more <= worth+4 {
				break
			}
			i++
			m, worth = next, more
		}
		p.sequence(behind, i, m)
		i += int(m.Length)
		behind = i
		if int(m.Length) >= limits.Nice {
			p.hasty.Skip(i)
		}
	}
	p.literals = append(p.literals, p.data[behind:to]...)
}

// best is the match at a position that saves most, in about quarters of a byte; 0
// or less is none.
//
//go:norace
func (p *packer) best(i, to int, noLiterals bool) (m match.Match, worth int) {
	longest := minMatch - 1
	if i+4 > to {
		return m, 0
	}
	here := p.data[i:to]
	first := binary.LittleEndian.Uint32(here)
	for _, d := range p.repeat.meant(noLiterals) {
		if d <= 0 || int(d) > i || binary.LittleEndian.Uint32(p.data[i-int(d):]) != first {
			continue
		}
		if n := match.Common(here, p.data[i-int(d):]); n > longest {
			m, longest, worth = match.Match{Length: int32(n), Distance: d}, n, 4*n-4
		}
	}
	if longest < enough {
		found := p.hasty.Best(i, longest)
		n := min(int(found.Length), to-i)
		if gain := 4*n - 4 - bits.Len32(uint32(found.Distance)); gain > worth {
			m, worth = match.Match{Length: int32(n), Distance: found.Distance}, gain
		}
	}
	return m, worth
}
