// Package xz packs executables into the .xz format (LZMA2), which is a fifth
// smaller than zstd and takes several times as long to unpack.
//
// It packs one thing: some megabytes that are in memory as a whole. Of all ways
// through matches the cheapest is looked for, by what symbols would cost with the
// probabilities of that moment. Pieces can be packed at the same time, because
// each begins with probabilities of its own.
package xz

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/mitosis-go/mitosis/bootstrap/internal/match"
)

// windowLog is of the bytes that a match may reach back, which an unpacker has to
// have as memory. Eight times as much would save a hundredth.
const windowLog = 20

var limits = match.Limits{
	Window: 1 << windowLog, Longest: maxMatch,
	Far:  1 << 16, // a match of three from farther costs more than three literals
	Nice: 128,
}

// depth is how many positions a search for matches looks at. Twice as many would
// save four thousandths.
const depth = 16

// Of LZMA2.
const (
	endOfChunks   = 0x00
	packed        = 0x80
	newState      = 0x40 // with properties: bits of packed
	newAll        = 0x60
	maxChunk      = 2 << 20  // bytes unpacked
	maxPacked     = 64 << 10 // bytes
	largestSymbol = 32       // bytes, more than one has
)

// A packer packs one piece.
type packer struct {
	data   []byte
	finder *match.Tree
	way    way
	coder  coder
	model  model
	history
	reset byte // what the next chunk has to say of the state
	out   []byte
}

// Append appends the chunks for data from a position on. What lies before it is
// known to the unpacker.
func Append(dst, data []byte, from int) []byte {
	p := &packer{data: data, finder: match.NewTree(data, from, depth, limits), out: dst, reset: newState}
	if from == 0 {
		p.reset = newAll
	}
	p.model.reset()
	p.history = history{last: [4]uint32{1, 1, 1, 1}}
	var symbols []symbol
	for i := from; i < len(data); {
		start := i
		p.coder.out = p.coder.out[:0]
		p.coder.begin()
		for i < len(data) && i-start <= maxChunk-maxMatch && len(p.coder.out)+p.coder.pending() <= maxPacked-largestSymbol {
			if len(symbols) == 0 {
				symbols = p.search(i, len(data))
			}
			p.write(i, symbols[0])
			i += int(symbols[0].length)
			symbols = symbols[1:]
		}
		p.coder.end()
		p.chunk(i - start)
	}
	return p.out
}

// chunk writes what the coder has for so many bytes. It is a chunk that is packed even
// if that is larger: by a hundredth, where nothing repeats.
func (p *packer) chunk(n int) {
	size, coded := n-1, p.coder.out
	p.out = append(p.out, packed|p.reset|byte(size>>16), byte(size>>8), byte(size),
		byte((len(coded)-1)>>8), byte(len(coded)-1))
	if p.reset != 0 {
		p.out = append(p.out, properties)
	}
	p.out = append(p.out, coded...)
	p.reset = 0
}

// write writes a symbol, and has the probabilities follow.
//
//go:norace
func (p *packer) write(i int, s symbol) {
	c, m, h, pos := &p.coder, &p.model, p.history, i&posMask
	switch {
	case s.distance == 0:
		before, there := byte(0), byte(0)
		if i > 0 {
			before = p.data[i-1]
		}
		if d := int(h.last[0]); d <= i {
			there = p.data[i-d]
		}
		c.bit(&m.isMatch[h.state][pos], 0)
		c.writeByte(m.literals(before), p.data[i], h.state, there)
	case s.which < 0:
		c.bit(&m.isMatch[h.state][pos], 1)
		c.bit(&m.isRepeat[h.state], 0)
		c.writeLength(&m.length[0], int(s.length), pos)
		c.writeDistance(m, s.distance, int(s.length))
	default:
		c.bit(&m.isMatch[h.state][pos], 1)
		c.bit(&m.isRepeat[h.state], 1)
		if s.which == 0 {
			c.bit(&m.notFirst[h.state], 0)
			longer := uint32(1)
			if s.length == 1 {
				longer = 0
			}
			c.bit(&m.isLonger[h.state][pos], longer)
		} else {
			c.bit(&m.notFirst[h.state], 1)
			if s.which == 1 {
				c.bit(&m.notSecond[h.state], 0)
			} else {
				c.bit(&m.notSecond[h.state], 1)
				c.bit(&m.notThird[h.state], uint32(s.which-2))
			}
		}
		if s.length > 1 {
			c.writeLength(&m.length[1], int(s.length), pos)
		}
	}
	p.history = h.after(s)
}

// Of the .xz file format, version 1.2.
const (
	streamHeader = "\xfd7zXZ\x00"
	streamFlags  = "\x00\x01" // CRC32
	streamFooter = "YZ"
	filterLZMA2  = 0x21
)

// AppendHeader appends the beginning of a file.
func AppendHeader(dst []byte) []byte {
	dst = append(append(dst, streamHeader...), streamFlags...)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.ChecksumIEEE([]byte(streamFlags)))
	return append(dst, blockHeader()...)
}

// blockHeader says that one filter follows, with its window.
func blockHeader() []byte {
	// Its size in words of four less one, flags, the filter with one byte of
	// properties, padding.
	h := []byte{2, 0, filterLZMA2, 1, (windowLog - 12) * 2, 0, 0, 0}
	return binary.LittleEndian.AppendUint32(h, crc32.ChecksumIEEE(h))
}

// AppendFooter appends the end of a file, behind so many bytes of chunks for data.
func AppendFooter(dst, data []byte, chunks int) []byte {
	dst = append(dst, endOfChunks)
	chunks++
	for range -chunks & 3 {
		dst = append(dst, 0)
	}
	dst = binary.LittleEndian.AppendUint32(dst, crc32.ChecksumIEEE(data))

	index := []byte{0, 1}
	index = binary.AppendUvarint(index, uint64(len(blockHeader())+chunks+crc32.Size))
	index = binary.AppendUvarint(index, uint64(len(data)))
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(index))
	dst = append(dst, index...)

	footer := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	footer = append(footer, streamFlags...)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.ChecksumIEEE(footer))
	return append(append(dst, footer...), streamFooter...)
}
