package entropy

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A code uses up all words there are, and is as short as its limit lets it be.
func TestLengthsMakeACode(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		counts := make([]int32, 2+r.IntN(285))
		for i := range counts {
			if r.UintN(3) > 0 {
				counts[i] = int32(1 << r.UintN(18))
			}
		}
		limit := 9 + r.IntN(7)
		lengths := Lengths(counts, limit)
		sum, words := 0, 0
		for i, l := range lengths {
			if int(l) > limit || counts[i] > 0 && l == 0 {
				t.Fatalf("symbol %d has %d bits, limit %d", i, l, limit)
			}
			if l > 0 {
				words++
				sum += 1 << (limit - int(l))
			}
		}
		if words < 2 || sum != 1<<limit {
			t.Fatalf("%d words, %d of %d", words, sum, 1<<limit)
		}
	}
}

func TestLog2(t *testing.T) {
	for n := uint32(1); n < 1<<20; n += 1 + n/100 {
		got, want := float64(Log2(n))/Bit, math.Log2(float64(n))
		if got > want+0.01 || got < want-0.02 {
			t.Errorf("%d: %v, not %v", n, got, want)
		}
	}
}

func TestBitsStandLowestFirst(t *testing.T) {
	var w Writer
	for i := range uint64(100) {
		w.Bits(i%2, 1)
		w.Bits(0x1234, 16)
	}
	w.Align()
	if len(w.Out) != (100*17+7)/8 || w.Out[0] != 0x68 || w.Out[1] != 0x24 || w.Out[2] != 0xd2 {
		t.Errorf("%d bytes, %x", len(w.Out), w.Out[:4])
	}
}
