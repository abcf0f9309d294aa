package fold

import (
	"bytes"
	"encoding/binary"
)

// The tables of functions (.gopclntab) hold a record for each function, in the order of
// their code, and an index by address. The index says nothing that is not in the
// records, and most of what a record says of where its code and its name begin is
// known from the one before. So the index is folded into zeros, and these two
// fields into differences.

// functions are these tables, if count is not 0.
type functions struct {
	index int // offset in the file: for each function address and record, 4 bytes each
	first int // the first record, from index
	count int
}

// The layout of the header and of records: runtime.pcHeader, runtime._func.
const (
	headMagic  = "\xf1\xff\xff\xff\x00\x00"
	headPtr    = 7  // ptrSize
	headCount  = 8  // nfunc, 8 bytes
	headTables = 64 // pclnOffset, 8 bytes
	headSize   = 72
	maxCount   = 1 << 24

	recordEntry    = 0
	recordName     = 4
	recordPCData   = 28 // npcdata
	recordFuncData = 43 // nfuncdata, 1 byte
	recordSize     = 44 // then 4 bytes for each of both, to a multiple of 8
)

// findFunctions finds the tables behind the code. What it finds has every record
// where it is expected, so it does not matter by what it was found.
func (p *program) findFunctions() functions {
	b := binary.LittleEndian
	for at := p.to; ; at++ {
		i := bytes.Index(p.data[at:], []byte(headMagic))
		if i < 0 || len(p.data)-at-i < headSize {
			return functions{}
		}
		at += i
		head := p.data[at:]
		count, tables := b.Uint64(head[headCount:]), b.Uint64(head[headTables:])
		if head[headPtr] != 8 || count == 0 || count > maxCount || tables > uint64(len(head))-8 {
			continue
		}
		t := functions{index: at + int(tables), count: int(count)}
		t.first = int(b.Uint32(p.data[t.index+4:]))
		if t.each(p.data, func(entry, record []byte, offset uint32) bool {
			return b.Uint32(entry) == b.Uint32(record[recordEntry:]) && b.Uint32(entry[4:]) == offset
		}) {
			return t
		}
	}
}

// each visits every entry of the index with its record, whose offset from the
// index follows from the records before. It is false where f was, or something is
// not within exe.
func (t functions) each(exe []byte, f func(entry, record []byte, offset uint32) bool) bool {
	size := len(exe) - t.index
	at := t.first
	if t.index < 0 || t.count < 0 || t.count > maxCount || at < 8*t.count {
		return false
	}
	b := exe[min(t.index, len(exe)):]
	for i := range t.count {
		if at > size-recordSize {
			return false
		}
		record := b[at:][:recordSize]
		if !f(b[8*i:][:8], record, uint32(at)) {
			return false
		}
		more := uint64(binary.LittleEndian.Uint32(record[recordPCData:])) + uint64(record[recordFuncData])
		if more > uint64(size) {
			return false
		}
		at = (at + recordSize + 4*int(more) + 7) &^ 7
	}
	return true
}

func (t functions) fold(exe []byte) {
	var entry, name uint32
	t.each(exe, func(index, record []byte, _ uint32) bool {
		clear(index)
		difference(record[recordEntry:], &entry)
		difference(record[recordName:], &name)
		return true
	})
}

func (t functions) unfold(exe []byte) {
	b := binary.LittleEndian
	var entry, name uint32
	t.each(exe, func(index, record []byte, offset uint32) bool {
		entry += b.Uint32(record[recordEntry:])
		name += b.Uint32(record[recordName:])
		b.PutUint32(record[recordEntry:], entry)
		b.PutUint32(record[recordName:], name)
		b.PutUint32(index, entry)
		b.PutUint32(index[4:], offset)
		return true
	})
}

// difference replaces a field by its difference from last, and moves last on.
func difference(field []byte, last *uint32) {
	v := binary.LittleEndian.Uint32(field)
	binary.LittleEndian.PutUint32(field, v-*last)
	*last = v
}
