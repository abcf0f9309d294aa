package disk

import (
	"iter"
	"os"
)

// Extents yields the beginning and the end of each piece of data of f between two
// places. Between the pieces are holes. Where the file system can't tell, all is data.
func Extents(f *os.File, from, end int64) iter.Seq2[int64, int64] {
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

// WriteZeros writes n zeros, to devices and pipes that have no holes.
func WriteZeros(f *os.File, n int64) error {
	b := make([]byte, min(n, zerosAtOnce))
	for n > 0 {
		m, err := f.Write(b[:min(n, zerosAtOnce)])
		if err != nil {
			return err
		}
		n -= int64(m)
	}
	return nil
}

// zerosAtOnce is how many zeros are written with one system call, in bytes.
const zerosAtOnce = 256 << 10
