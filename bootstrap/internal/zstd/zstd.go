// Package zstd packs executables into the format of RFC 8878.
//
// It packs one thing: some megabytes that are in memory as a whole. Blocks have
// the largest size that there is. In a hurry each takes the best match that it
// comes across; else, in several times as long, the cheapest way through all matches
// is looked for, by what codes like those of the blocks before would cost. The codes
// are each block's own, so that pieces of a frame can be packed at the same time.
package zstd

import (
	"encoding/binary"

	"github.com/mitosis-go/mitosis/bootstrap/internal/entropy"
	"github.com/mitosis-go/mitosis/bootstrap/internal/match"
)

// Of RFC 8878, 3.1.1.
const (
	magic    = 0xfd2fb528
	maxBlock = 128 << 10 // bytes

	blockRaw        = 0
	blockRLE        = 1
	blockCompressed = 2
)

// windowLog is of the bytes that a match may reach back. All unpackers have that much.
const windowLog = 20

var limits = match.Limits{
	Window: 1 << windowLog, Longest: maxBlock,
	Far:  1 << 14, // a match of three from farther costs more than three literals
	Nice: 96,
}

// A packer packs one piece of a frame.
type packer struct {
	data   []byte
	finder *match.Finder
	hasty  *match.Hasty // in its place in a hurry
	repeat offsets
	way    way
	stats  stats

	// Of the block that is being made.
	literals  []byte
	sequences []sequence
	out       []byte
}

// A sequence is so many literals and a match. Its offset is as the format has
// it, 1 to 3 for one of those before.
type sequence struct{ literals, length, offset int32 }

// AppendHeader appends the beginning of a frame, which so many bytes will be
// unpacked from.
func AppendHeader(dst []byte, size int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, magic)
	dst = append(dst, 0x80, (windowLog-10)<<3) // with a size of four bytes, no checksum, no dictionary
	return binary.LittleEndian.AppendUint32(dst, uint32(size))
}

// Append appends the blocks for data from a position on. What lies before it
// is known to the unpacker. All pieces of a frame but the last must be made
// with last false.
func Append(dst, data []byte, from int, last, hurry bool) []byte {
	p := &packer{data: data, out: dst}
	if hurry {
		p.hasty = match.NewHasty(data, from, limits)
	} else {
		p.finder = match.New(data, from, limits)
	}
	if from == 0 {
		p.repeat = offsets{1, 4, 8}
	}
	p.stats.guess()
	for from < len(data) || last {
		to := min(from+maxBlock, len(data))
		p.block(from, to, last && to == len(data))
		if from = to; to == len(data) {
			break
		}
	}
	return p.out
}

// block writes data[from:to].
func (p *packer) block(from, to int, last bool) {
	start := len(p.out)
	kind, size := blockRaw, to-from
	p.out = append(p.out, 0, 0, 0)
	repeat := p.repeat
	if size > 1 && match.Common(p.data[from:to-1], p.data[from+1:to]) == size-1 {
		kind = blockRLE
		p.out = append(p.out, p.data[from])
		p.skip(to)
	} else {
		if p.hasty != nil {
			p.scan(from, to)
		} else {
			p.parse(from, to)
		}
		p.writeLiterals()
		p.writeSequences()
		if packed := len(p.out) - start - 3; packed < size {
			kind, size = blockCompressed, packed
		} else {
			p.repeat = repeat // the unpacker has not seen others
			p.out = append(p.out[:start+3], p.data[from:to]...)
		}
	}
	header := uint32(size)<<3 | uint32(kind)<<1
	if last {
		header |= 1
	}
	p.out[start], p.out[start+1], p.out[start+2] = byte(header), byte(header>>8), byte(header>>16)
}

// skip says that nobody will look for what lies before a position.
func (p *packer) skip(to int) {
	if p.hasty != nil {
		p.hasty.Skip(to)
	} else {
		p.finder.Skip(to)
	}
}

// offsets are the last three that were used, the latest first. 0 stands for
// one that is not known.
type offsets [3]int32

// use returns how a match is written, and the offsets after it. The first of
// them can't be meant where no literals lie between, and the one before the
// first can.
func (o offsets) use(distance int32, noLiterals bool) (offset int32, after offsets) {
	switch {
	case distance == o[0] && !noLiterals:
		return 1, o
	case distance == o[1]:
		offset = 2
	case distance == o[2]:
		return o.written(3, noLiterals), offsets{distance, o[0], o[1]}
	case noLiterals && distance == o[0]-1:
		return 3, offsets{distance, o[0], o[1]}
	default:
		return distance + 3, offsets{distance, o[0], o[1]}
	}
	return o.written(offset, noLiterals), offsets{distance, o[0], o[2]}
}

func (offsets) written(which int32, noLiterals bool) int32 {
	if noLiterals {
		return which - 1
	}
	return which
}

// meant are the distances that are written as 1 to 3.
func (o offsets) meant(noLiterals bool) offsets {
	if noLiterals {
		return offsets{o[1], o[2], o[0] - 1}
	}
	return o
}

// closed ends bits that are read from their end.
func closed(w *entropy.Writer) []byte {
	w.Bits(1, 1)
	w.Align()
	return w.Out
}
