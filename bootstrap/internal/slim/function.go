package slim

import "encoding/binary"

// Offsets in runtime._func, in bytes, and its size without the arrays behind it.
const (
	funcName      = 4
	funcPCSP      = 16
	funcPCFile    = 20
	funcPCLine    = 24
	funcPCDatas   = 28 // npcdata
	funcUnit      = 32 // cuOffset
	funcStartLine = 36
	funcKind      = 40 // funcID
	funcFuncDatas = 43 // nfuncdata
	funcSize      = 44
)

// Numbers of internal/abi/symtab.go: kinds of tables by instruction (PCDATA), kinds of data of a
// whole function (FUNCDATA), and kinds of functions.
const (
	pcdataInlTree = 2
	pcdataArgLive = 3
	pcdataKinds   = 5

	funcdataInlTree     = 3
	funcdataArgInfo     = 5
	funcdataArgLiveInfo = 6
	funcdataKinds       = 8

	kindWrapper = 23 // FuncIDWrapper

	none = ^uint32(0) // the offset of no function data
)

// Offset and size, in bytes, of runtime.inlinedCall, an entry of a tree of inlined calls.
const (
	inlinedName = 4
	inlinedSize = 16
)

// A function is a runtime._func and the two arrays behind it.
type function struct {
	order binary.ByteOrder
	b     []byte
}

// offset returns the offset of the i-th function, which is in the index.
func (t *tables) offset(i int) int { return int(t.order.Uint32(t.functions[8*i+4:])) }

// function returns the i-th function of the index. It returns false if the function reaches out
// of the table, or has kinds of data that this package does not know.
func (t *tables) function(i int) (function, bool) {
	all := uint64(len(t.functions))
	at := uint64(t.offset(i))
	if at < 8*uint64(t.count) || at > all || all-at < funcSize {
		return function{}, false
	}
	f := function{t.order, t.functions[at:]}
	n := f.field(funcPCDatas)
	if n > pcdataKinds || f.funcdatas() > funcdataKinds {
		return function{}, false
	}
	size := funcSize + 4*uint64(n) + 4*uint64(f.funcdatas())
	if size > all-at || f.field(0) != t.order.Uint32(t.functions[8*i:]) {
		return function{}, false
	}
	f.b = f.b[:size]
	return f, true
}

func (f function) field(at int) uint32   { return f.order.Uint32(f.b[at:]) }
func (f function) set(at int, v uint32)  { f.order.PutUint32(f.b[at:], v) }
func (f function) kind() byte            { return f.b[funcKind] }
func (f function) pcdatas() int          { return int(f.field(funcPCDatas)) }
func (f function) funcdatas() int        { return int(f.b[funcFuncDatas]) }
func (f function) pcdataAt(j int) int    { return funcSize + 4*j }
func (f function) funcdataAt(j int) int  { return funcSize + 4*f.pcdatas() + 4*j }
func (f function) pcdata(j int) uint32   { return f.field(f.pcdataAt(j)) }
func (f function) funcdata(j int) uint32 { return f.field(f.funcdataAt(j)) }

// droppedPCData reports whether a function does not need its table by instruction of a kind.
// tree says whether it needs its tree of inlined calls.
func droppedPCData(kind int, tree bool) bool {
	return kind == pcdataArgLive || kind == pcdataInlTree && !tree
}

// droppedFuncData is like droppedPCData, for data of the whole function.
func droppedFuncData(kind int, tree bool) bool {
	return kind == funcdataArgInfo || kind == funcdataArgLiveInfo || kind == funcdataInlTree && !tree
}

// clear removes all references to data that is not needed.
func (f function) clear(tree bool) {
	for _, at := range []int{funcPCFile, funcPCLine, funcUnit, funcStartLine} {
		f.set(at, 0)
	}
	for j := range f.pcdatas() {
		if droppedPCData(j, tree) {
			f.set(f.pcdataAt(j), 0)
		}
	}
	for j := range f.funcdatas() {
		if droppedFuncData(j, tree) {
			f.set(f.funcdataAt(j), none)
		}
	}
}
