package core

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

// maxPlaces bounds the number of frames of a stack that travel as places. The runtime prints
// about as many.
const maxPlaces = 100

// noLine is printed by the runtime in place of file and line where the executable has no
// tables of them.
const noLine = "\t?:0 +0x"

// NewPanicError returns the error of a panic. value is the text of the panic's argument. It
// must be called below the deferred function that recovered the panic, while the stack is
// still that of the panic.
//
// An executable that was sent to a far side has the names of functions, but no files, no
// lines, and no inlined calls. There the error carries the places in the code. The first
// context on its way whose executable has the tables completes the stack; at the latest that
// is the master.
//
//go:noinline
func NewPanicError(value string) *PanicError {
	// The first line is about the goroutine. The two frames behind it,
	// debug.Stack and this function, take two lines each.
	lines := strings.SplitAfterN(string(debug.Stack()), "\n", 6)
	e := &PanicError{Value: value, Stack: lines[0] + lines[len(lines)-1]}
	if !hasLines() {
		pcs := make([]uintptr, maxPlaces)
		for _, pc := range pcs[:runtime.Callers(2, pcs)] {
			e.places = append(e.places, int64(pc)-origin())
		}
	}
	return e
}

// hasLines reports whether this executable has tables of lines.
var hasLines = sync.OnceValue(func() bool {
	_, file, _, _ := runtime.Caller(0)
	return file != "?"
})

// origin returns the address from which places are counted: that of a function, which all
// copies of a program have in common.
func origin() int64 { return int64(reflect.ValueOf(NewPanicError).Pointer()) }

// completeStack puts files, lines and inlined calls into a stack as the runtime prints it. It
// ignores a place where this executable does not have the function that the stack names, at
// the same offset. So the places of another build do no harm.
func completeStack(stack string, places []int64) string {
	known := make(map[codePlace][]runtime.Frame)
	for _, at := range places[:min(len(places), maxPlaces)] {
		pc := uintptr(origin() + at)
		frames := framesAt(pc)
		if len(frames) == 0 {
			continue
		}
		// The last is the function itself, those before it were inlined.
		f := frames[len(frames)-1]
		offset := uint64(pc - f.Entry)
		known[codePlace{f.Function, offset}] = frames
		// Where a signal became a panic, the stack shows the instruction
		// itself, not the one behind it.
		if other := (codePlace{f.Function, offset - 1}); known[other] == nil {
			known[other] = frames
		}
	}
	var out strings.Builder
	lines := strings.SplitAfter(stack, "\n")
	for i, call := range lines {
		if i+1 < len(lines) {
			if offset, ok := strings.CutPrefix(lines[i+1], noLine); ok {
				out.WriteString(inlinedInto(known[placeOf(call, offset)]))
			}
		}
		if offset, ok := strings.CutPrefix(call, noLine); ok && i > 0 {
			if frames := known[placeOf(lines[i-1], offset)]; len(frames) > 0 {
				f := frames[len(frames)-1]
				call = "\t" + f.File + ":" + strconv.Itoa(f.Line) + " +0x" + offset
			}
		}
		out.WriteString(call)
	}
	return out.String()
}

// inlinedInto returns the inlined calls of a place, as the runtime prints them.
func inlinedInto(frames []runtime.Frame) string {
	var out strings.Builder
	for i := 0; i+1 < len(frames); i++ {
		f := frames[i]
		out.WriteString(f.Function + "(...)\n\t" + f.File + ":" + strconv.Itoa(f.Line) + "\n")
	}
	return out.String()
}

// A codePlace is a return address as a stack shows it.
type codePlace struct {
	function string
	offset   uint64 // bytes from its entry
}

// placeOf returns the place in the two lines of a stack that describe one frame.
func placeOf(call, offset string) codePlace {
	if end := strings.LastIndexByte(call, '('); end >= 0 {
		call = call[:end]
	}
	if call == "panic" {
		call = "runtime.gopanic" // the one name that the runtime embellishes
	}
	offset, _, _ = strings.Cut(strings.TrimSuffix(offset, "\n"), " ")
	n, err := strconv.ParseUint(offset, 16, 64)
	if err != nil {
		return codePlace{}
	}
	return codePlace{call, n}
}

// framesAt returns the call at a return address, after those that were inlined into it. It
// returns nothing where there is no code.
func framesAt(pc uintptr) (frames []runtime.Frame) {
	// Inlined calls are shown only of a place that has another behind it.
	all := runtime.CallersFrames([]uintptr{pc, 0})
	for {
		f, more := all.Next()
		if f.Entry == 0 || pc <= f.Entry {
			return nil
		}
		frames = append(frames, f)
		if !more {
			return frames
		}
	}
}
