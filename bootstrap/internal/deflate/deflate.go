// Package deflate packs executables into the format of RFC 1951.
//
// It packs one thing: some megabytes that are in memory as a whole. For a stretch of them
// all matches are found, and the cheapest way through these by what words cost: first by
// the codes of what came before. That way, or a part of it, tells where the statistics of the
// data change, which is where blocks begin, and what the codes of each block will be like. By
// these the way through the block is looked for that is written.
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

// An effort is a balance of size and time.
type effort struct {
	match.Limits
	quiet  int // a match of so many bytes is worth no search for others within it, but for its first two positions and its last
	sample int // so many bytes of each piece tell what it is like
}

var (
	hasty = effort{match.Limits{
		Window: window, Longest: maxMatch,
		Far:  1 << 14, // a match of three from farther costs more than three literals
		Nice: 64,
	}, 16, pieceSize / 4}
	thorough = effort{match.Limits{Window: window, Longest: maxMatch, Far: window, Nice: 100}, 100, pieceSize}
)

// depth is how many positions are looked at for each in a tree. With fewer less is found,
// with twice as many hardly more.
const depth = 35

// A symbol is a literal (distance 0, the byte in length) or a match.
type symbol struct{ length, distance uint16 }

// A finder is a match.Finder or a match.Tree.
type finder interface {
	Append(matches []match.Match, i, atLeast int) []match.Match
	Skip(i int)
}

// A packer packs one piece of data.
type packer struct {
	effort
	data    []byte
	finder  finder
	parse   parse
	pieces  []piece  // of the stretch of data that is being packed
	symbols []symbol // of a piece, or of the block that is being made
	out     entropy.Writer
}

// Append appends data from a position on, packed, to dst. What lies before it
// is known to the unpacker. A stream may be made of several pieces: all
// but the last end at a byte's boundary with an empty stored block. In a hurry it
// takes less than half of the time, and the result is a fiftieth larger.
func Append(dst, data []byte, from int, last, hurry bool) []byte {
	p := &packer{effort: thorough, data: data, out: entropy.Writer{Out: dst}}
	if hurry {
		p.effort = hasty
		p.finder = match.New(data, from, p.Limits)
	} else {
		p.finder = match.NewTree(data, from, depth, p.Limits)
	}
	room := min(len(data)-from, stretch+maxMatch)
	p.parse.begin(room)
	p.symbols = make([]symbol, 0, room)
	for from < len(data) || last {
		end := p.gather(from)
		p.split(from, end)
		start := from
		for _, b := range p.pieces {
			to := from + b.bytes
			p.parse.learn(&b.counts)
			p.symbols = p.symbols[:0]
			p.way(start, from, to)
			p.block(from, to, last && to == len(data))
			from = to
		}
		if end == len(data) {
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
