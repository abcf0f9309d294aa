package slim

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// harm overwrites one to three places of an executable. Most likely they are in its headers,
// less likely in the description of the tables, and least likely in the tables.
func harm(exe []byte, f *file, r *rand.Rand) []byte {
	exe = bytes.Clone(exe)
	tables, module := f.section(".gopclntab"), f.section(".go.module")
	places := [][2]uint64{
		{0, headerSize}, {headerSize, 56 * 8}, {headersAt(f), uint64(64 * len(f.sections))},
		{module.offset, 8 * modWords}, {tables.offset, 80}, {tables.offset, tables.size},
	}
	for range 1 + r.IntN(3) {
		p := places[r.IntN(len(places))]
		at := p[0] + r.Uint64N(p[1])
		values := []uint64{0, 1, 1 << 31, 1<<63 - 1, ^uint64(0), r.Uint64(), uint64(len(exe)), r.Uint64N(uint64(len(exe)))}
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], values[r.IntN(len(values))])
		copy(exe[at:], b[:1+r.IntN(8)])
	}
	if r.IntN(4) == 0 {
		exe = exe[:r.IntN(len(exe))]
	}
	return exe
}

func headersAt(f *file) uint64 { return f.addr(24 + 2*f.word) }

// checkHarmed checks what Strip promises for any bytes: it does not panic, and it either
// understands all of the tables or leaves them alone.
func checkHarmed(t *testing.T, exe []byte) (refused bool) {
	out, err := strip(bytes.Clone(exe))
	if len(out) > len(exe) {
		t.Fatalf("the result has %d bytes, want at most the %d of the executable", len(out), len(exe))
	}
	if err != nil && len(out) > headerSize && !bytes.Equal(out[headerSize:], exe[headerSize:len(out)]) {
		t.Fatalf("Strip has refused the tables (%v) and changed bytes behind the header, want none changed", err)
	}
	return err != nil
}

func TestHarmedExecutables(t *testing.T) {
	exe := build(t, nil, "-ldflags=-s -w")
	f, ok := parseELF(exe)
	if !ok {
		t.Fatal("parseELF has refused an executable of the toolchain, want it read")
	}
	r := rand.New(rand.NewPCG(1, 2))
	refused := 0
	const n = 400
	for range n {
		if checkHarmed(t, harm(exe, f, r)) {
			refused++
		}
	}
	t.Logf("%d of %d harmed executables were refused", refused, n)
	if refused < n/4 {
		t.Errorf("%d of %d harmed executables were refused, want at least %d: the harm does not reach the tables", refused, n, n/4)
	}
}

func FuzzStrip(f *testing.F) {
	exe := build(f, nil, "-ldflags=-s -w")
	parsed, ok := parseELF(exe)
	if !ok {
		f.Fatal("parseELF has refused an executable of the toolchain, want it read")
	}
	f.Add(uint64(1), []byte(nil))
	f.Add(uint64(2), exe[:4096])
	f.Fuzz(func(t *testing.T, seed uint64, front []byte) {
		b := harm(exe, parsed, rand.New(rand.NewPCG(seed, 0)))
		copy(b, front)
		checkHarmed(t, b)
		checkHarmed(t, front)
	})
}
