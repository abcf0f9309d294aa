package bootstrap

import (
	"bytes"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"strings"
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
	for n := range 4 {
		codec, hurry := []Codec{Gzip, Zstd}[n/2], n%2 == 0
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		packed := pack(codec, data, hurry)
		runtime.ReadMemStats(&after)
		const limit = 48 << 20
		took := after.TotalAlloc - before.TotalAlloc
		t.Logf("%d bytes become %d with %v, in a hurry %v, with %d bytes of memory", len(data), len(packed), codec, hurry, took)
		if took > limit {
			t.Errorf("packing %d bytes with %v, in a hurry %v, took %d bytes of memory, more than %d", len(data), codec, hurry, took, limit)
		}
	}
}

// The far side has these programs, and the parent any number of processors.
func TestProgramsUnpack(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	image, err := OwnImage()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := image.Encoded(Raw)
	if err != nil {
		t.Fatal(err)
	}
	data := raw.Data[:min(len(raw.Data), 5*leastPart/2)]
	for _, processors := range []int{1, 16} {
		runtime.GOMAXPROCS(processors)
		for _, hurry := range []bool{true, false} {
			gzip, zstd, xz := pack(Gzip, data, hurry), pack(Zstd, data, hurry), pack(XZ, data, hurry)
			if 100*len(xz) > 95*min(len(zstd), len(gzip)) {
				t.Errorf("xz %d bytes, zstd %d, gzip %d", len(xz), len(zstd), len(gzip))
			}
			if !hurry && 100*len(zstd) > 95*len(gzip) {
				t.Errorf("zstd %d bytes, gzip %d", len(zstd), len(gzip))
			}
			unpack(t, Gzip.command(), gzip, data)
			unpack(t, "busybox gzip -dc", gzip, data)
			unpack(t, Zstd.command(), zstd, data)
			unpack(t, XZ.command(), xz, data)
			unpack(t, "busybox xz -dc", xz, data)
		}
	}
}

func unpack(t *testing.T, command string, packed, want []byte) {
	t.Helper()
	words := strings.Fields(command)
	if _, err := exec.LookPath(words[0]); err != nil {
		t.Logf("no %s here", words[0])
		return
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin = bytes.NewReader(packed)
	if got, err := cmd.Output(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d of %d bytes came back, %v", command, len(got), len(want), err)
	}
}
