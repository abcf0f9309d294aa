package guard

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// trim gives back the pages of the executable that starting up has touched. A
// guard sleeps for nearly all of its life; what it needs again comes back from
// the page cache in microseconds.
//
// Only mappings of a file are given back that hold no page of their own: the
// relocations of a position-independent executable would not come back.
func trim() {
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range cleanMappings(smaps) {
		unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED)
	}
}

type mapping struct{ start, end uintptr }

// cleanMappings finds the private read-only mappings of files in
// /proc/PID/smaps that have no anonymous page: a line
//
//	00400000-0068b000 r-xp 00000000 fe:00 1234   /path
//
// and behind it lines of the form "Name: 12 kB", "Anonymous:" among them.
func cleanMappings(smaps []byte) []mapping {
	var found []mapping
	var m mapping
	for line := range bytes.Lines(smaps) {
		words := bytes.Fields(line)
		if len(words) == 0 {
			continue
		}
		if name, ok := bytes.CutSuffix(words[0], []byte(":")); ok {
			if string(name) == "Anonymous" && len(words) > 1 && string(words[1]) == "0" && m.end > m.start {
				found = append(found, m)
			}
			continue
		}
		m = mapping{}
		if len(words) < 6 || words[5][0] != '/' || string(words[1]) != "r-xp" && string(words[1]) != "r--p" {
			continue
		}
		a, b, _ := bytes.Cut(words[0], []byte("-"))
		start, err1 := strconv.ParseUint(string(a), 16, strconv.IntSize)
		end, err2 := strconv.ParseUint(string(b), 16, strconv.IntSize)
		if err1 == nil && err2 == nil {
			m = mapping{uintptr(start), uintptr(end)}
		}
	}
	return found
}
