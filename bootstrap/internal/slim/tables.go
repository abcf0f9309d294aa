package slim

import (
	"bytes"
	"encoding/binary"
)

// magic is abi.Go120PCLnTabMagic.
const magic = 0xfffffff1

// Indexes of words in runtime.moduledata. A slice is three words: address, length, capacity.
const (
	modHeader   = 0
	modTables   = 1  // funcnametab, cutab, filetab, pctab, pclntable
	modFuncs    = 13 // pclntable
	modIndex    = 16 // ftab
	modFind     = 19 // findfunctab
	modFuncData = 40 // gofunc
	modEnd      = 41 // epclntab
	modWords    = 42
)

// Indexes of words in runtime.pcHeader, counted from behind its first 8 bytes.
const (
	headBytes  = 8 // the magic and four bytes more
	headCount  = 0 // nfunc
	headTables = 3 // offsets of the same five tables
	headWords  = 8
)

// tables are the tables of the section .gopclntab.
type tables struct {
	order        binary.ByteOrder
	units, files []byte // cutab, filetab
	functions    []byte // pclntable: an index by address, and the functions
	count        int

	names, pcdata, funcdata region // funcnametab, pctab, the data that gofunc points to
}

// clearTables clears the data that only tracebacks need. It changes nothing if it does not
// understand all tables.
func (f *file) clearTables() error {
	t, err := f.tables()
	if err != nil {
		return err
	}
	if !t.markItems() {
		return errLayout
	}
	t.clear()
	return nil
}

// tables finds the tables by the header of the section. It returns an error if the header does
// not agree with runtime.moduledata, the runtime's own description of this executable.
func (f *file) tables() (*tables, error) {
	section, module := f.section(".gopclntab"), f.section(".go.module")
	if section == nil || module == nil {
		return nil, errNoTables
	}
	b, m, w := f.content(section), f.content(module), f.word
	if len(b) < headBytes+headWords*w || len(m) < modWords*w ||
		f.order.Uint32(b) != magic || b[4] != 0 || b[5] != 0 || int(b[7]) != w {
		return nil, errLayout
	}
	head := func(i int) uint64 { return f.address(b[headBytes+i*w:]) }
	mod := func(i int) uint64 { return f.address(m[i*w:]) }
	size := uint64(len(b))
	if mod(modHeader) != section.addr || mod(modEnd) != section.addr+size {
		return nil, errLayout
	}
	// The header says where each table begins, and moduledata says how long it is. The
	// tables follow each other, and may not overlap.
	var table [5][]byte
	end := uint64(0)
	for i := range table {
		from, n := head(headTables+i), mod(modTables+3*i+1)
		if i == 1 {
			n *= 4 // cutab is of uint32
		}
		if from < end || from > size || n > size-from || mod(modTables+3*i) != section.addr+from {
			return nil, errLayout
		}
		table[i], end = b[from:][:n:n], from+n
	}
	functions, count := table[4], head(headCount)
	if mod(modIndex) != mod(modFuncs) || mod(modIndex+1) != count+1 || count >= uint64(len(functions))/8 {
		return nil, errLayout
	}
	// The function data lies behind the functions, and findfunctab behind that.
	from, to := mod(modFuncData)-section.addr, mod(modFind)-section.addr
	if from < end || from > to || to > size {
		return nil, errLayout
	}
	return &tables{
		order: f.order, units: table[1], files: table[2], functions: functions, count: int(count),
		names: newRegion(table[0]), pcdata: newRegion(table[3]), funcdata: newRegion(b[from:to]),
	}, nil
}

// markItems finds out where each item begins, and which items are needed. It returns false if
// the tables are not laid out as expected.
func (t *tables) markItems() bool {
	for i := range t.names.data {
		if i == 0 || t.names.data[i-1] == 0 {
			t.names.marks[i] = begins
		}
	}
	end := 0
	for i := range t.count {
		f, ok := t.function(i)
		if !ok || t.offset(i) < end {
			return false
		}
		end = t.offset(i) + len(f.b)
		for j := range f.funcdatas() {
			if at := f.funcdata(j); at != none && !t.funcdata.mark(at, begins) {
				return false
			}
		}
	}
	for i := range t.count {
		if f, _ := t.function(i); !t.markFunction(f) {
			return false
		}
	}
	return true
}

// markFunction marks the items of one function: where each begins, and whether it is needed. It
// returns false for an offset outside of its table.
func (t *tables) markFunction(f function) bool {
	ok := t.names.mark(f.field(funcName), stays)
	pcdata := func(at uint32, m byte) {
		ok = ok && (at == 0 || t.pcdata.mark(at, m))
	}
	tree := t.needsTree(f)
	pcdata(f.field(funcPCSP), begins|stays)
	pcdata(f.field(funcPCFile), begins)
	pcdata(f.field(funcPCLine), begins)
	for j := range f.pcdatas() {
		if droppedPCData(j, tree) {
			pcdata(f.pcdata(j), begins)
		} else {
			pcdata(f.pcdata(j), begins|stays)
		}
	}
	for j := range f.funcdatas() {
		at := f.funcdata(j)
		if at == none || droppedFuncData(j, tree) {
			continue
		}
		t.funcdata.mark(at, stays)
		if j == funcdataInlTree {
			for c := t.funcdata.item(at); ok && len(c) >= inlinedSize; c = c[inlinedSize:] {
				ok = t.names.mark(t.order.Uint32(c[inlinedName:]), stays)
			}
		}
	}
	return ok
}

// needsTree reports whether the runtime needs the tree of calls that were inlined into f (see
// the package comment).
func (t *tables) needsTree(f function) bool {
	if f.funcdatas() <= funcdataInlTree || f.funcdata(funcdataInlTree) == none {
		return false
	}
	if f.kind() == kindWrapper {
		return true
	}
	// A function of the runtime needs no tree. Without one, all of it counts as code of the
	// runtime, and the runtime preempts no goroutine there.
	return !t.ofRuntime(f.field(funcName)) && t.treeOfRuntime(f.funcdata(funcdataInlTree))
}

// treeOfRuntime reports whether a tree of inlined calls has code of the runtime or of reflect.
func (t *tables) treeOfRuntime(at uint32) bool {
	m := &t.funcdata.marks[at]
	if *m&judged == 0 {
		*m |= judged
		for c := t.funcdata.item(at); len(c) >= inlinedSize; c = c[inlinedSize:] {
			if t.ofRuntime(t.order.Uint32(c[inlinedName:])) {
				*m |= inlinesRuntime
				break
			}
		}
	}
	return *m&inlinesRuntime != 0
}

// unpreempted are the prefixes that runtime.isAsyncSafePoint looks for.
var unpreempted = [][]byte{[]byte("runtime."), []byte("internal/runtime/"), []byte("reflect.")}

// ofRuntime reports whether the name at an offset begins with one of unpreempted.
func (t *tables) ofRuntime(name uint32) bool {
	if uint64(name) >= uint64(len(t.names.data)) {
		return false
	}
	for _, p := range unpreempted {
		if bytes.HasPrefix(t.names.data[name:], p) {
			return true
		}
	}
	return false
}

func (t *tables) clear() {
	for i := range t.count {
		f, _ := t.function(i)
		f.clear(t.needsTree(f))
	}
	clear(t.units)
	clear(t.files)
	t.regroup()
	t.names.clear()
	t.funcdata.clear()
}
