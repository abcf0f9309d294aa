package files

import (
	"iter"
	"os"
)

// extents yields where f has data between two places, each time its beginning
// and its end. What lies between them are holes. Where the file system does
// not say, all is data.
func extents(f *os.File, from, end int64) iter.Seq2[int64, int64] {
	return func(yield func(int64, int64) bool) {
		for from < end {
			data, hole := nextData(f, from, end)
			if data >= end || !yield(data, min(hole, end)) {
				return
			}
			from = hole
		}
	}
}

// isSparse reports whether a file of so many bytes has more holes than are
// hashed as zeros.
func isSparse(f *os.File, size int64) bool {
	if size <= maxHashedHoles || !mayHaveHoles(f, size) {
		return false
	}
	data := int64(0)
	for from, to := range extents(f, 0, size) {
		if data += to - from; size-data <= maxHashedHoles {
			return false
		}
	}
	return true
}
