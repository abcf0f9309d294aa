package slim

import (
	"bytes"
	"encoding/binary"
)

// The part of the ELF specification that is used here.
const (
	headerSize = 64 // bytes of the file's header in the class of 64 bits, which is the larger

	classWide = 2 // EI_CLASS: 64 bits
	dataBig   = 2 // EI_DATA: most significant byte first

	typeExec = 2 // ET_EXEC
	typeDyn  = 3 // ET_DYN, which a position-independent executable is

	sectionNoBits = 8 // SHT_NOBITS
	flagAlloc     = 2 // SHF_ALLOC

	maxSections = 1 << 10
	maxSegments = 1 << 8
)

// A file is an executable in memory.
type file struct {
	data     []byte
	order    binary.ByteOrder
	word     int // bytes of an address: 4 or 8
	sections []section
	segments []segment
}

// A section has the fields of a section header.
type section struct {
	name                      uint32 // offset in the section of names
	flags, addr, offset, size uint64
}

// A segment has the fields of a program header.
type segment struct{ offset, size uint64 }

// parseELF reads the headers. It reports false if the file is no ELF executable, or if its
// headers don't agree with its length.
func parseELF(exe []byte) (*file, bool) {
	if len(exe) < headerSize || string(exe[:4]) != "\x7fELF" {
		return nil, false
	}
	f := &file{data: exe, order: binary.LittleEndian, word: 4}
	if exe[4] == classWide {
		f.word = 8
	}
	if exe[5] == dataBig {
		f.order = binary.BigEndian
	}
	if t := f.u16(16); t != typeExec && t != typeDyn {
		return nil, false
	}
	// From e_entry on, the two classes differ only in the size of addresses.
	w := f.word
	return f, f.readSegments(f.addr(24+w), f.u16(30+3*w), f.u16(32+3*w)) &&
		f.readSections(f.addr(24+2*w), f.u16(34+3*w), f.u16(36+3*w), f.u16(38+3*w))
}

func (f *file) readSegments(table uint64, size, n int) bool {
	w := f.word
	if n == 0 || n > maxSegments || size < 8+6*w || !f.within(table, uint64(n*size)) {
		return false
	}
	// The file's header and this table stay in the file, whether a segment has them or not.
	f.segments = []segment{{0, headerSize}, {table, uint64(n * size)}}
	for i := range n {
		at := int(table) + i*size
		s := segment{offset: f.addr(at + w), size: f.addr(at + 4*w)}
		if !f.within(s.offset, s.size) {
			return false
		}
		f.segments = append(f.segments, s)
	}
	return true
}

// readSections reads the section headers. It puts the section of names first in f.sections.
func (f *file) readSections(table uint64, size, n, names int) bool {
	w := f.word
	if n == 0 {
		return true
	}
	if n > maxSections || size != 16+6*w || names >= n || !f.within(table, uint64(n*size)) {
		return false
	}
	for i := range n {
		at := int(table) + i*size
		s := section{
			name: f.u32(at), flags: f.addr(at + 8), addr: f.addr(at + 8 + w),
			offset: f.addr(at + 8 + 2*w), size: f.addr(at + 8 + 3*w),
		}
		if kind := f.u32(at + 4); kind == sectionNoBits || kind == 0 {
			s.offset, s.size = 0, 0
		}
		if !f.within(s.offset, s.size) {
			return false
		}
		f.sections = append(f.sections, s)
	}
	f.sections[0], f.sections[names] = f.sections[names], f.sections[0]
	return true
}

// section returns the section with a name, nil if no such section is loaded into memory.
func (f *file) section(name string) *section {
	if len(f.sections) == 0 {
		return nil
	}
	names := f.content(&f.sections[0])
	wanted := append([]byte(name), 0)
	for i := range f.sections {
		s := &f.sections[i]
		if s.flags&flagAlloc != 0 && s.size > 0 && uint64(s.name) < uint64(len(names)) &&
			bytes.HasPrefix(names[s.name:], wanted) {
			return s
		}
	}
	return nil
}

func (f *file) content(s *section) []byte { return f.data[s.offset:][:s.size:s.size] }

func (f *file) within(offset, size uint64) bool {
	all := uint64(len(f.data))
	return offset <= all && size <= all-offset
}

func (f *file) u16(at int) int     { return int(f.order.Uint16(f.data[at:])) }
func (f *file) u32(at int) uint32  { return f.order.Uint32(f.data[at:]) }
func (f *file) addr(at int) uint64 { return f.address(f.data[at:]) }

// address reads an address, whose size depends on the executable's class.
func (f *file) address(b []byte) uint64 {
	if f.word == 8 {
		return f.order.Uint64(b)
	}
	return uint64(f.order.Uint32(b))
}
