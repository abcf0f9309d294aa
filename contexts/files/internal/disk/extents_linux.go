package disk

import (
	"errors"
	"os"
	"syscall"
)

// See lseek(2).
const (
	seekData = 3
	seekHole = 4
)

// nextData returns the beginning and the end of the next data at from or behind it, or
// end and end if there are no data before end.
func nextData(f *os.File, from, end int64) (data, hole int64) {
	data, err := f.Seek(from, seekData)
	if errors.Is(err, syscall.ENXIO) {
		return end, end
	}
	if err != nil || data < from {
		return from, end
	}
	hole, err = f.Seek(data, seekHole)
	if err != nil || hole <= data {
		return data, end
	}
	return data, hole
}

// MayHaveHoles reports whether a file takes less room on the disk than it has bytes.
func MayHaveHoles(f *os.File, size int64) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Blocks*512 < size
}
