package checksum

import (
	"bytes"
	"testing"
)

// TestTheChecksumOfASparseFile: data can't pose as holes, nor holes as others.
func TestTheChecksumOfASparseFile(t *testing.T) {
	sum := func(parts ...any) []byte {
		c := New()
		defer c.Close()
		c.Reset(true)
		for _, p := range parts {
			switch p := p.(type) {
			case int:
				c.Hole(int64(p))
			case string:
				c.Add(append(c.Block()[:0], p...))
			}
		}
		return c.Sum()
	}
	all := [][]byte{sum(), sum(16), sum(16, "x"), sum("x", 16), sum("xx", 16), sum("x", 16, "x"), sum(17, "x"), sum(16, "xx")}
	for i := range all {
		for j := range i {
			if bytes.Equal(all[i], all[j]) {
				t.Errorf("contents %d and %d have the same checksum, want different ones", i, j)
			}
		}
	}
}
