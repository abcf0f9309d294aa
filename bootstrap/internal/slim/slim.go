// Package slim makes the executable of a Go program smaller to send. It takes out the parts
// that only debuggers and printed tracebacks read.
//
// Debug information and symbols are cut off with the section headers. In the tables of
// functions (.gopclntab) files, lines, the description of arguments and most of the trees of
// inlined calls are overwritten by one value. So all addresses in the code stay valid, and the
// cleared parts compress to nearly nothing.
//
// The parts of the tables stay that the runtime itself needs: frame sizes,
// stack maps, stack objects, points where a goroutine can't be preempted, how
// deferred calls are found, bounds for the text of a panic, and the names of
// functions. A tree of inlined calls stays in two kinds of functions:
//
//   - wrappers, because recover counts frames and passes over those that are
//     wrappers, inlined or not (runtime.gorecover);
//   - functions that had code of the runtime or of reflect inlined, because the
//     runtime preempts no goroutine there, and looks for the name
//     (runtime.isAsyncSafePoint).
//
// A program made from an image sees the difference: runtime.Caller returns "?" and 0 for file
// and line, inlined calls are no frames of their own, and tracebacks have only names and
// offsets. An executable with the tables can complete such a traceback (see core.PanicError).
//
// The format of the tables is private to the toolchain. So they are changed only in executables
// of the one release that this package was checked against. The header of the tables and the
// runtime's own description of them must agree, and all offsets must lie within bounds.
// Otherwise the tables stay as they are.
package slim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// release is the release of Go that this package was checked against. Before you change it,
// read these parts of the new release: internal/abi/symtab.go (numbers), runtime2.go (_func,
// moduledata), and every use of funcname, newInlineUnwinder, funcline, pcdatavalue and
// funcdata in package runtime.
const release = "go1.26"

// The reasons for which an executable keeps its tables.
var (
	errNoELF    = errors.New("not an ELF executable, or damaged")
	errNoTables = errors.New("no function tables where the linker puts them")
	errLayout   = errors.New("function tables are not laid out as expected")
	errRace     = errors.New("built for the race detector, whose reports need lines")
)

// Strip returns exe, an executable for any system, without the parts that a child does not
// need. It changes exe in place. The error says why some of these parts were left in. The
// result can be executed even then.
func Strip(exe []byte) ([]byte, error) {
	f, ok := parseELF(exe)
	if !ok {
		return exe, errNoELF
	}
	if len(f.sections) == 0 {
		return exe, nil // Strip has made it
	}
	version, race := f.builtBy()
	err := mayClear(version, race)
	if err == nil {
		err = f.clearTables()
	}
	return f.withoutSections(), err
}

// mayClear returns the reason for which an executable keeps its tables, nil if there is none.
func mayClear(version string, race bool) error {
	if race {
		return errRace
	}
	return CheckRelease(version)
}

// CheckRelease returns an error if executables of this version of Go keep their tables.
func CheckRelease(version string) error {
	// A development version, "devel go1.26-...", may be anything.
	if version != release && !strings.HasPrefix(version, release+".") {
		return fmt.Errorf("built by %s, and only the layout of %s is known", version, release)
	}
	return nil
}

// The section .go.buildinfo, in the form of Go 1.18 and later. Package debug/buildinfo
// describes it.
const (
	infoMagic  = "\xff Go buildinf:"
	infoFlags  = 15 // offset of the flags; bit 1: the strings follow the header
	infoHeader = 32 // bytes
)

// builtBy returns the version of Go that built an executable, "" if it is not known. It reports
// whether the executable was built for the race detector.
func (f *file) builtBy() (version string, race bool) {
	s := f.section(".go.buildinfo")
	if s == nil {
		return "", false
	}
	b := f.content(s)
	if len(b) < infoHeader || !bytes.HasPrefix(b, []byte(infoMagic)) || b[infoFlags]&2 == 0 {
		return "", false
	}
	text := func(b []byte) (word, rest []byte) {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return nil, nil
		}
		return b[used:][:n], b[used:][n:]
	}
	word, rest := text(b[infoHeader:])
	settings, _ := text(rest)
	return string(word), bytes.Contains(settings, []byte("\nbuild\t-race=true\n"))
}

// withoutSections returns the file without the sections that are not loaded into memory, and
// without section headers.
func (f *file) withoutSections() []byte {
	end := uint64(0)
	for _, s := range f.segments {
		end = max(end, s.offset+s.size)
	}
	w := f.word
	clear(f.data[24+2*w:][:w])   // e_shoff
	clear(f.data[36+3*w:][:2*2]) // e_shnum, e_shstrndx
	return f.data[:end]
}
