// Package fold makes the executable of a Go program pack better, in a way that it
// undoes itself when it is started.
//
// Code names what it calls and reads by the distance from the instruction, which
// is another one at each place. Folding replaces distances by addresses, which
// are the same at each place, and so a compressor has seen them before: an image
// becomes a ninth smaller, whichever compressor it is.
//
// A folded executable has another entry: a function of this package, which is
// part of every program that sends images. It puts the executable as it was
// together in memory, in an anonymous file, and has it executed in its own place.
// So there is one copy for all processes that are started from it later, and
// nothing but the first bytes of the first process is different from what would have
// been without folding. Where no such file can be made or executed (an
// old kernel, a seccomp filter, a sysctl, a security module) it puts the code back
// where it is being executed instead.
//
// Folding knows amd64 and arm64, on Linux, and executables as Go's own linker
// makes them, without what package slim takes out. Others stay as they are.
package fold

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Why an executable stays as it is.
var (
	errForeign = errors.New("not an executable for a system that images are folded for")
	errLayout  = errors.New("not laid out as Go's linker does it")
	errEntry   = errors.New("the function that unfolds is not in it, or more than once")
)

// Of the ELF specification, what is looked at here. All is little-endian and of
// the larger class.
const (
	ident     = "\x7fELF\x02\x01\x01"
	typeExec  = 2  // ET_EXEC
	machAMD64 = 62 // EM_X86_64
	machARM64 = 183

	headerSize = 64
	offType    = 16 // e_type; behind it e_machine
	offEntry   = 24
	offTable   = 32 // e_phoff
	offEntries = 54 // e_phentsize; behind it e_phnum, e_shentsize, e_shnum
	offSecs    = 60 // e_shnum

	segSize   = 56
	segLoad   = 1 // PT_LOAD
	segInterp = 3 // PT_INTERP
	segExec   = 1 // PF_X

	maxSegments = 16
	page        = 4096
)

// The function that unfolds begins and ends with these bytes; see entry_*.s.
var (
	startsWith = []byte("mitosis\x00\x53\xa8\xe4\xc7\x02\x6b\x1f\x9d")
	endsWith   = []byte("\x9d\x1f\x6b\x02\xc7\xe4\xa8\x53")
)

// Where its parameters are, from where it begins.
const (
	paramEntry = 16 // 8 bytes: e_entry as it was
	// 4 bytes each, offsets in the file.
	paramSelf    = 24 // where the function begins
	paramSize    = 28 // the size of the file
	paramFrom    = 32 // where code begins
	paramTo      = 36 // where code ends
	paramSelfEnd = 40 // where the function ends
	paramTables  = 44 // the index of functions
	paramFirst   = 48 // from there, the first record
	paramCount   = 52 // how many; 0: the tables are not folded
	paramsEnd    = 56 // and the code
)

// A program is an executable in memory that can be folded, or is folded.
type program struct {
	data     []byte
	code     func(code []byte, from, to int, fold bool) // changes what is within
	addr     uint64                                     // of the first byte
	from, to int                                        // code
	self     int                                        // the function that unfolds
	selfEnd  int
}

// Fold folds an executable in place. One that is folded stays so. After an error
// it is as it was.
func Fold(exe []byte) error {
	p, err := open(exe)
	if err != nil || p.folded() {
		return err
	}
	b := binary.LittleEndian
	param := exe[p.self:]
	b.PutUint64(param[paramEntry:], b.Uint64(exe[offEntry:]))
	t := p.findFunctions()
	for i, v := range []int{p.self, len(exe), p.from, p.to, p.selfEnd, t.index, t.first, t.count} {
		b.PutUint32(param[paramSelf+4*i:], uint32(v))
	}
	b.PutUint64(exe[offEntry:], p.entry())
	p.change(true)
	t.fold(exe)
	return nil
}

// Unfold is the inverse of Fold, and changes nothing that is not folded.
func Unfold(exe []byte) {
	p, err := open(exe)
	if err != nil || !p.folded() {
		return
	}
	p.change(false)
	b := binary.LittleEndian
	param := exe[p.self:]
	word := func(at int) int { return int(b.Uint32(param[at:])) }
	functions{index: word(paramTables), first: word(paramFirst), count: word(paramCount)}.unfold(exe)
	copy(exe[offEntry:][:8], param[paramEntry:])
	clear(param[paramEntry:paramsEnd])
}

func (p *program) change(fold bool) {
	p.code(p.data, p.from, p.self, fold)
	p.code(p.data, p.selfEnd, p.to, fold)
}

// entry is the address at which a folded program begins.
func (p *program) entry() uint64 { return p.addr + uint64(p.self) + paramsEnd }

func (p *program) folded() bool {
	return binary.LittleEndian.Uint64(p.data[offEntry:]) == p.entry()
}

// open finds out whether all is as the function that unfolds expects it: segments
// one after the other, of which the first holds the code and the
// header, with nothing between them.
func open(exe []byte) (*program, error) {
	b := binary.LittleEndian
	link()
	if len(exe) < headerSize+segSize || !bytes.HasPrefix(exe, []byte(ident)) || b.Uint16(exe[offType:]) != typeExec {
		return nil, errForeign
	}
	p := &program{data: exe}
	switch b.Uint16(exe[offType+2:]) {
	case machAMD64:
		p.code = changeAMD64
	case machARM64:
		p.code = changeARM64
	default:
		return nil, errForeign
	}
	n := int(b.Uint16(exe[offEntries+2:]))
	if b.Uint64(exe[offTable:]) != headerSize || b.Uint16(exe[offEntries:]) != segSize || b.Uint16(exe[offSecs:]) != 0 ||
		n > maxSegments || len(exe) < page || int64(len(exe)) > 1<<31-1 {
		return nil, errLayout
	}
	end := uint64(0)
	for i := range n {
		s := exe[headerSize+i*segSize:]
		kind, flags := b.Uint32(s), b.Uint32(s[4:])
		offset, addr, size := b.Uint64(s[8:]), b.Uint64(s[16:]), b.Uint64(s[32:])
		if kind == segInterp {
			return nil, errLayout
		}
		if kind != segLoad {
			continue
		}
		if offset%page != 0 || addr%page != 0 || offset < end || offset > uint64(len(exe)) || size > uint64(len(exe))-offset ||
			(flags&segExec != 0) != (end == 0) || len(bytes.TrimLeft(exe[end:offset], "\x00")) > 0 {
			return nil, errLayout
		}
		if end == 0 {
			if offset != 0 || size < page {
				return nil, errLayout
			}
			p.addr, p.from, p.to = addr, page, int(size)
		}
		end = offset + size
	}
	if end != uint64(len(exe)) {
		return nil, errLayout
	}
	return p, p.findSelf()
}

// findSelf finds the function that unfolds.
func (p *program) findSelf() error {
	text := p.data[p.from:p.to]
	at := bytes.Index(text, startsWith)
	if at < 0 || bytes.Contains(text[at+1:], startsWith) {
		return errEntry
	}
	n := bytes.Index(text[at:], endsWith)
	if n < paramsEnd {
		return errEntry
	}
	p.self = p.from + at
	p.selfEnd = p.self + n + len(endsWith)
	return nil
}
