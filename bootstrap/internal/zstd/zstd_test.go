package zstd

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/mitosis-go/mitosis/bootstrap/internal/match"
)

// packed is a frame that is packed in pieces of so many bytes.
func packed(data []byte, piece int, hurry bool) []byte {
	frame := AppendHeader(nil, len(data))
	for at := 0; ; at += piece {
		end := min(at+piece, len(data))
		frame = Append(frame, data[:end], at, end == len(data), hurry)
		if end == len(data) {
			return frame
		}
	}
}

// roundTrip packs data in pieces of so many bytes, in a hurry and not, and has
// another implementation unpack it.
func roundTrip(t *testing.T, data []byte, piece int) int {
	t.Helper()
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	size := 0
	for _, hurry := range []bool{true, false} {
		frame := packed(data, piece, hurry)
		got, err := r.DecodeAll(frame, nil)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes in pieces of %d, packed to %d, in a hurry %v: %d came back, %v", len(data), piece, len(frame), hurry, len(got), err)
		}
		size = len(frame)
	}
	return size
}

// extremes is data that goes to the limits of the format.
func extremes() map[string][]byte {
	r := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 300<<10)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	// Counts for which words would be longer than 11 bits, in an order without
	// matches.
	fibonacci := []byte{}
	for i, a, b := byte(0), 1, 1; i < 24; i, a, b = i+1, b, a+b {
		fibonacci = append(fibonacci, bytes.Repeat([]byte{i}, a)...)
	}
	r.Shuffle(len(fibonacci), func(i, j int) { fibonacci[i], fibonacci[j] = fibonacci[j], fibonacci[i] })
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	two, sparse, nearly := bytes.Clone(noise), bytes.Clone(noise), bytes.Clone(noise)
	for i := range two {
		two[i] &= 1
		sparse[i] = sparse[i]&1*255 + byte(i%97/96*7)
		nearly[i] &= 127 // half of the symbols, all as often: words of 7 bits
	}
	// Literals and matches of all lengths by which a code begins or ends, with
	// offsets that are new, repeated, and one less.
	var lengths []byte
	for _, n := range []int{1, 2, 15, 16, 17, 23, 24, 31, 32, 47, 48, 63, 64, 127, 128, 255, 256, 511, 512, 1 << 12, 1 << 15, 1<<16 - 1, 1 << 16, 1<<16 + 1} {
		for _, m := range []int{3, 4, 34, 35, 36, 66, 67, 98, 99, 130, 131, 258, 259, 1<<12 + 2, 1<<16 + 2, 1<<16 + 3} {
			at := r.IntN(len(noise) - n)
			lengths = append(lengths, noise[at:at+n]...)
			distance := 2 + r.IntN(max(1, min(len(lengths)-1, 1<<16)))
			distance = min(distance, len(lengths))
			for range m {
				lengths = append(lengths, lengths[len(lengths)-distance])
			}
			for range 5 {
				lengths = append(lengths, lengths[len(lengths)-max(1, distance-1)])
			}
		}
	}
	far := bytes.Join([][]byte{noise[:200<<10], make([]byte, 1<<windowLog-250<<10), noise[:200<<10], noise[:1000]}, nil)
	return map[string][]byte{
		"nothing": nil, "one byte": {7}, "two": []byte("ab"), "three": []byte("abc"), "the same": []byte("aaaaaaaaa"),
		"zeros": make([]byte, 300<<10), "block of zeros": make([]byte, maxBlock), "noise": noise, "a block of noise": noise[:maxBlock],
		"every byte once": every, "every byte often": bytes.Repeat(every, 3000),
		"text": []byte(strings.Repeat("the quick brown fox ", 20000)), "fibonacci": fibonacci,
		"bits": two, "sparse": sparse, "half the symbols": nearly, "half the symbols, few": nearly[:3000],
		"lengths": lengths, "far": far,
		"mixed": bytes.Join([][]byte{noise[:9000], make([]byte, 70000), two, fibonacci, noise, every}, nil),
	}
}

func TestRoundTrip(t *testing.T) {
	for name, data := range extremes() {
		t.Run(name, func(t *testing.T) {
			for _, piece := range []int{len(data) + 1, 250_000} {
				t.Logf("%d bytes became %d", len(data), roundTrip(t, data, piece))
			}
		})
	}
}

// Where a section of literals changes its form, and a block its end.
func TestRoundTripOfSizes(t *testing.T) {
	all := extremes()
	for _, name := range []string{"bits", "noise", "half the symbols", "fibonacci", "zeros"} {
		for _, n := range []int{31, 32, 33, 255, 256, 257, 1023, 1024, 1025, 1<<14 - 1, 1 << 14, maxBlock - 1, maxBlock + 1} {
			if data := all[name]; n < len(data) {
				roundTrip(t, data[:n], n)
			}
		}
	}
}

// So many sequences are in one block that their number takes three bytes.
func TestManySequences(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	words := make([]uint32, 1<<10)
	for i := range words {
		words[i] = r.Uint32()
	}
	var data []byte
	for range maxBlock {
		data = binary.LittleEndian.AppendUint32(data, words[r.IntN(len(words))])
	}
	p := &packer{data: data, finder: match.New(data, 0, limits), repeat: offsets{1, 4, 8}}
	p.stats.guess()
	most := 0
	for from := 0; from < len(data); from += maxBlock {
		p.block(from, from+maxBlock, false)
		most = max(most, len(p.sequences))
	}
	if most < 0x7f00 {
		t.Errorf("only %d sequences in a block", most)
	}
	roundTrip(t, data, len(data))
}

// The far side has this one.
func TestTheProgramUnpacks(t *testing.T) {
	program, err := exec.LookPath("zstd")
	if err != nil {
		t.Skip("no zstd here")
	}
	for name, data := range extremes() {
		cmd := exec.Command(program, "-dcq")
		cmd.Stdin = bytes.NewReader(packed(data, 150_000, true))
		if got, err := cmd.Output(); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d of %d bytes came back, %v", name, len(got), len(data), err)
		}
	}
}

// No bytes are worth more than a header for every block.
func TestNothingGrows(t *testing.T) {
	for name, data := range extremes() {
		most := len(data) + len(AppendHeader(nil, 0)) + 3*(len(data)/maxBlock+1)
		for _, hurry := range []bool{true, false} {
			if n := len(packed(data, len(data)+1, hurry)); n > most {
				t.Errorf("%s: %d bytes became %d", name, len(data), n)
			}
		}
	}
}

func TestExecutablesPackBetterThanByALibrary(t *testing.T) {
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip(err)
	}
	exe = exe[:min(len(exe), 2<<20)]
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	got, library := roundTrip(t, exe, len(exe)), len(w.EncodeAll(exe, nil))
	t.Logf("%d bytes, klauspost/compress %d", got, library)
	if got >= library {
		t.Errorf("%d bytes are not less than the %d of klauspost/compress at its best", got, library)
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("aaaaaaaaaabcabcabc"), 5)
	f.Add([]byte{}, 0)
	for _, data := range extremes() {
		f.Add(data[:min(len(data), 2000)], 700)
	}
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		roundTrip(t, data, 1+max(piece&0xffff, len(data)/8))
		roundTrip(t, bytes.Repeat(data, 20), 1+len(data)*7)
	})
}
