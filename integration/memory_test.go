//go:build linux

package integration

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// readMemory calls f with the memory of a process, piece by piece. It leaves out pages that were
// never touched, that can't be read, or that are those of a file. If the process ends meanwhile,
// the rest is left out.
func readMemory(dir string, f func(area string, b []byte)) {
	maps, err := os.Open(dir + "/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	mem, err := os.Open(dir + "/mem")
	if err != nil {
		return
	}
	defer mem.Close()
	pages, err := os.Open(dir + "/pagemap")
	if err != nil {
		return
	}
	defer pages.Close()
	// Pieces overlap, so that a secret at the border of two pieces is found.
	const piece, overlap = 1 << 20, 4 << 10
	buf := make([]byte, piece)
	for s := bufio.NewScanner(maps); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 5 || !strings.HasPrefix(fields[1], "r") {
			continue
		}
		// A mapping of a file that can't be written has only the bytes of the file.
		if fields[4] != "0" && fields[1][1] != 'w' {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		low, err1 := strconv.ParseInt(from, 16, 64)
		high, err2 := strconv.ParseInt(to, 16, 64)
		if err1 != nil || err2 != nil {
			continue // the address of the vsyscall page is too large for an offset
		}
		for _, run := range present(pages, low, high) {
			for at := run[0]; at < run[1]; at += piece - overlap {
				n, err := mem.ReadAt(buf[:min(piece, run[1]-at)], at)
				if n > 0 {
					f(fields[0], buf[:n])
				}
				if err != nil && err != io.EOF {
					break
				}
			}
		}
	}
}

// present returns the ranges between two addresses that a process has touched
// (Documentation/admin-guide/mm/pagemap.rst of Linux). The race detector maps hundreds of
// megabytes, most of which it never uses.
func present(pagemap *os.File, low, high int64) (runs [][2]int64) {
	const inMemoryOrSwap = 3 << 62
	page := int64(os.Getpagesize())
	entries := make([]byte, (high-low)/page*8)
	n, _ := pagemap.ReadAt(entries, low/page*8) // short if the process ends meanwhile
	for i := 0; i+8 <= n; i += 8 {
		if binary.NativeEndian.Uint64(entries[i:])&inMemoryOrSwap == 0 {
			continue
		}
		at := low + int64(i)/8*page
		if last := len(runs) - 1; last >= 0 && runs[last][1] == at {
			runs[last][1] += page
		} else {
			runs = append(runs, [2]int64{at, at + page})
		}
	}
	return runs
}
