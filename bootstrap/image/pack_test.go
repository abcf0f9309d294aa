package image

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// What packing takes decides how large the heap may grow afterwards, and so what
// the master of a small tree needs.
func TestPackingTakesLittleMemory(t *testing.T) {
	data := make([]byte, 4<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(random.ExpFloat64() * 8) // packs about as well as a program
	}
	for n := range 4 {
		codec, e := []Codec{Gzip, Zstd}[n/2], []effort{fast, best}[n%2]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		packed, err := pack(t.Context(), codec, e, data)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		const limit = 64 << 20
		took := after.TotalAlloc - before.TotalAlloc
		t.Logf("%d bytes become %d with %v, effort %v, with %d bytes of memory", len(data), len(packed), codec, e, took)
		if took > limit {
			t.Errorf("packing %d bytes with %v, effort %v, took %d bytes of memory, want at most %d", len(data), codec, e, took, limit)
		}
	}
}

// The far side unpacks with programs that know nothing of the packer.
func TestProgramsUnpack(t *testing.T) {
	data := imageData(t, 2<<20)
	packed := func(c Codec, e effort) []byte {
		p, err := pack(t.Context(), c, e, data)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, e := range []effort{fast, best} {
		gzip, zstd := packed(Gzip, e), packed(Zstd, e)
		if 100*len(zstd) > 98*len(gzip) {
			t.Errorf("effort %v: zstd makes %d bytes and gzip %d; want zstd to be smaller", e, len(zstd), len(gzip))
		}
		unpack(t, Gzip.UnpackCommand(), gzip, data)
		unpack(t, "busybox gzip -dc", gzip, data)
		unpack(t, Zstd.UnpackCommand(), zstd, data)
	}
}

// A program that closes does not wait for packing in the background.
func TestPackingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the program closes")
	cancel(why)
	if _, err := pack(ctx, Zstd, best, make([]byte, 1<<20)); !errors.Is(err, why) {
		t.Errorf("packing under a context that has ended returned %v, want its cause", err)
	}
}

// imageData returns the first bytes of the go command: a program of the usual size, which
// this test is not.
func imageData(t *testing.T, limit int) []byte {
	t.Helper()
	path, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data[:min(len(data), limit)]
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
