// Package deflate packs executables into the format of RFC 1951.
//
// It packs one thing: some megabytes that are in memory as a whole. A block
// begins where the statistics of the data change rather than after a fixed number of
// symbols. In each, the cheapest way through all matches is looked for, by what words
// cost: first by the codes of the block before, and through a part of it, which tells about
// what its own codes will be; then by these, through all.
package deflate

import (
	"github.com/mitosis-go/mitosis/bootstrap/internal/entropy"
	"github.com/mitosis-go/mitosis/bootstrap/internal/match"
)

// Of RFC 1951.
const (
	window   = 32 << 10 // bytes that a match may reach back
	minMatch = 3
	maxMatch = 258
)

var limits = match.Limits{
	Window: window, Longest: maxMatch,
	Far:  1 << 14, // a match of three from farther costs more than three literals
	Nice: 64,
}

// A symbol is a literal (distance 0, the byte in length) or a match.
type symbol struct{ length, distance uint16 }

// A packer packs one piece of data.
type packer struct {
	data    []byte
	finder  *match.Finder
	split   splitter
	parse   parse
	symbols []symbol // of the block that is being made
	out     entropy.Writer
}

// Append appends data from a position on, packed, to dst. What lies before it
// is known to the unpacker. A stream may be made of several pieces: all
// but the last end at a byte's boundary with an empty stored block.
func Append(dst, data []byte, from int, last bool) []byte {
	p := &packer{data: data, finder: match.New(data, from, limits), out: entropy.Writer{Out: dst}}
	p.parse.guess()
	for from < len(data) || last {
		to := p.gather(from)
		p.choose(from, to)
		p.block(from, to, last && to == len(data))
		if from = to; to == len(data) {
			break
		}
	}
	if last {
		p.out.Align()
	} else {
		stored(&p.out, nil, false)
	}
	return p.out.Out
}
