package bootstrap

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

// What packing takes decides how large the heap may grow afterwards, and so what
// the master of a small tree needs.
func TestPackingTakesLittleMemory(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	data := make([]byte, 4<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(random.ExpFloat64() * 8) // packs about as well as a program
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	packed, err := pack(Zstd, data)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	const limit = 48 << 20
	took := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d bytes become %d, with %d bytes of memory", len(data), len(packed), took)
	if took > limit {
		t.Errorf("packing %d bytes took %d bytes of memory, more than %d", len(data), took, limit)
	}
}
