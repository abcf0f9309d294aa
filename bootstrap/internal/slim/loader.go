package slim

import (
	"encoding/binary"
	"io"
	"strings"
)

// segmentLoader is PT_INTERP of the ELF specification.
const segmentLoader = 3

// Loader returns the path of the dynamic loader of an ELF executable. It returns "" if the
// executable needs none, or if the file is no ELF executable. It reads only the headers and
// the path.
func Loader(exe io.ReaderAt) string {
	head := make([]byte, headerSize)
	if _, err := exe.ReadAt(head, 0); err != nil || string(head[:4]) != "\x7fELF" {
		return ""
	}
	f := &file{data: head, order: binary.LittleEndian, word: 4}
	if head[4] == classWide {
		f.word = 8
	}
	if head[5] == dataBig {
		f.order = binary.BigEndian
	}
	w := f.word
	table, size, n := f.addr(24+w), f.u16(30+3*w), f.u16(32+3*w)
	if n > maxSegments || size < 8+6*w {
		return ""
	}
	f.data = make([]byte, n*size)
	if _, err := exe.ReadAt(f.data, int64(table)); err != nil {
		return ""
	}
	for i := range n {
		at := i * size
		if f.u32(at) != segmentLoader {
			continue
		}
		path := make([]byte, min(f.addr(at+4*w), maxLoaderPath))
		if _, err := exe.ReadAt(path, int64(f.addr(at+w))); err != nil {
			return ""
		}
		return strings.TrimRight(string(path), "\x00")
	}
	return ""
}

// maxLoaderPath is PATH_MAX of Linux, in bytes.
const maxLoaderPath = 4096
