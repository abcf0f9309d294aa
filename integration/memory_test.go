//go:build linux

package integration

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// readMemory calls f with the memory of a process, piece by piece: all that is
// private to it and writable, where alone a secret can be that it was given.
// What can't be read, because the process ends, is left out.
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
	// Pieces overlap, so that nothing is missed between two of them.
	const piece, overlap = 1 << 20, 4 << 10
	buf := make([]byte, piece)
	for s := bufio.NewScanner(maps); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 2 || !strings.HasPrefix(fields[1], "rw") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		low, err1 := strconv.ParseInt(from, 16, 64)
		high, err2 := strconv.ParseInt(to, 16, 64)
		if err1 != nil || err2 != nil {
			continue // the vsyscall page is above what an offset can be
		}
		for at := low; at < high; at += piece - overlap {
			n, err := mem.ReadAt(buf[:min(piece, high-at)], at)
			if n > 0 {
				f(fields[0], buf[:n])
			}
			if err != nil && err != io.EOF {
				break
			}
		}
	}
}
