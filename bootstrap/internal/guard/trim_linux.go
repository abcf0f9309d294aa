package guard

import (
	"bytes"
	"iter"
	"strconv"

	"golang.org/x/sys/unix"
)

// Trim gives back the pages of the executable that the process has touched so far. An idle
// process needs few of them again, and these come back from the page cache in microseconds.
//
// Trim leaves alone each mapping of a file that has a page of its own in memory. The page cache
// could not bring back such a page: it may hold relocations of a position-independent
// executable.
func Trim() {
	// The buffer is not on the heap. Nothing collects the heap of an idle process, so the
	// buffer would cost about as much memory as Trim gives back.
	const room = 256 << 10 // some forty mappings of 700 bytes are usual
	buf, err := unix.Mmap(-1, 0, room, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return
	}
	defer unix.Munmap(buf)
	fd, err := unix.Open("/proc/self/smaps", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	have := 0
	for have < len(buf) {
		n, err := unix.Read(fd, buf[have:])
		if n <= 0 || err != nil {
			break
		}
		have += n
	}
	for m := range cleanMappings(buf[:have]) {
		unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED)
	}
}

type mapping struct{ start, end uintptr }

// cleanMappings finds the private read-only mappings of files in /proc/PID/smaps that have no
// anonymous page. Each mapping begins with a line of the form
//
//	00400000-0068b000 r-xp 00000000 fe:00 1234   /path
//
// Lines of the form "Name: 12 kB" follow; one of the names is "Anonymous".
func cleanMappings(smaps []byte) iter.Seq[mapping] {
	return func(yield func(mapping) bool) {
		var m mapping
		readOnlyFile := false
		for line := range bytes.Lines(smaps) {
			if value, ok := bytes.CutPrefix(line, []byte("Anonymous:")); ok {
				if readOnlyFile && string(bytes.TrimSpace(value)) == "0 kB" && !yield(m) {
					return
				}
				continue
			}
			from, rest, found := bytes.Cut(line, []byte("-"))
			if !found {
				continue
			}
			to, rest, _ := bytes.Cut(rest, []byte(" "))
			start, err1 := strconv.ParseUint(string(from), 16, strconv.IntSize)
			end, err2 := strconv.ParseUint(string(to), 16, strconv.IntSize)
			if err1 != nil || err2 != nil {
				continue
			}
			m = mapping{uintptr(start), uintptr(end)}
			mode, rest, _ := bytes.Cut(rest, []byte(" "))
			readOnlyFile = (string(mode) == "r-xp" || string(mode) == "r--p") && bytes.Contains(rest, []byte(" /"))
		}
	}
}
