package slim

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// harm overwrites some places of an executable: headers, the description of
// the tables, the tables, in this order of probability.
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

// checkHarmed holds Strip to what it promises of any bytes: it does not panic,
// and it either understands all of the tables or leaves them alone.
func checkHarmed(t *testing.T, exe []byte) (refused bool) {
	out, err := strip(bytes.Clone(exe))
	if len(out) > len(exe) {
		t.Fatal("it has grown")
	}
	if err != nil && len(out) > headerSize && !bytes.Equal(out[headerSize:], exe[headerSize:len(out)]) {
		t.Fatalf("refused (%v), and changed all the same", err)
	}
	return err != nil
}

func TestHarmedExecutables(t *testing.T) {
	exe := build(t, nil, "-ldflags=-s -w")
	f, ok := parseELF(exe)
	if !ok {
		t.Fatal("not understood")
	}
	r := rand.New(rand.NewPCG(1, 2))
	refused := 0
	const n = 400
	for range n {
		if checkHarmed(t, harm(exe, f, r)) {
			refused++
		}
	}
	t.Logf("%d of %d were refused", refused, n)
	if refused < n/4 {
		t.Errorf("only %d of %d were refused", refused, n)
	}
}

func FuzzStrip(f *testing.F) {
	exe := build(f, nil, "-ldflags=-s -w")
	parsed, ok := parseELF(exe)
	if !ok {
		f.Fatal("not understood")
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
