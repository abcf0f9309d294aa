package deflate

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	klauspost "github.com/klauspost/compress/flate"

	"github.com/mitosis-go/mitosis/bootstrap/internal/match"
)

// roundTrip packs data in pieces of so many bytes and has compress/flate and
// klauspost/compress unpack it.
func roundTrip(t *testing.T, data []byte, piece int, hurry bool) int {
	t.Helper()
	var packed []byte
	for at := 0; ; at += piece {
		end := min(at+piece, len(data))
		packed = Append(packed, data[:end], at, end == len(data), hurry)
		if end == len(data) {
			break
		}
	}
	for name, unpack := range map[string]func(io.Reader) io.ReadCloser{
		"compress/flate": flate.NewReader, "klauspost/compress": klauspost.NewReader,
	} {
		rest := bytes.NewReader(packed)
		got, err := io.ReadAll(unpack(rest))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%s: %d bytes in pieces of %d, in a hurry %v: %d came back, %v", name, len(data), piece, hurry, len(got), err)
		}
		if rest.Len() != 0 {
			t.Fatalf("%s: %d bytes too many", name, rest.Len())
		}
	}
	return len(packed)
}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 100<<10)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	fibonacci := []byte{} // counts for which words would be longer than 15 bits
	for i, a, b := byte(0), 1, 1; i < 24; i, a, b = i+1, b, a+b {
		fibonacci = append(fibonacci, bytes.Repeat([]byte{i}, a)...)
	}
	r.Shuffle(len(fibonacci), func(i, j int) { fibonacci[i], fibonacci[j] = fibonacci[j], fibonacci[i] })
	two := bytes.Clone(noise)
	for i := range two {
		two[i] &= 1
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "one byte": {7}, "three": []byte("abc"), "zeros": make([]byte, 300<<10), "noise": noise,
		"text": []byte(strings.Repeat("the quick brown fox ", 4000)), "fibonacci": fibonacci, "two": two,
		"far":   bytes.Join([][]byte{noise[:window], noise[:window], noise[:window+1], noise[:300]}, nil),
		"mixed": bytes.Join([][]byte{noise[:9000], make([]byte, 70000), two, fibonacci, noise}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			for _, piece := range []int{len(data) + 1, 40_000} {
				hurry, best := roundTrip(t, data, piece, true), roundTrip(t, data, piece, false)
				t.Logf("%d bytes became %d in a hurry, %d at best", len(data), hurry, best)
			}
		})
	}
}

// The reason for this package.
func TestExecutablesPackBetter(t *testing.T) {
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip(err)
	}
	exe = exe[:min(len(exe), 1<<20)]
	var std bytes.Buffer
	w, _ := flate.NewWriter(&std, flate.BestCompression)
	w.Write(exe)
	w.Close()
	hurry, best := roundTrip(t, exe, len(exe), true), roundTrip(t, exe, len(exe), false)
	t.Logf("%d bytes in a hurry, %d at best, compress/flate %d", hurry, best, std.Len())
	if hurry >= std.Len() {
		t.Errorf("%d bytes are not less than the %d of compress/flate", hurry, std.Len())
	}
	if best >= hurry*99/100 {
		t.Errorf("%d bytes at best, %d in a hurry", best, hurry)
	}
}

// What is unlike is in blocks of its own, and what is alike in few.
func TestBlocksBeginWhereDataChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	data := make([]byte, 0, 3*stretch/4)
	for _, base := range []byte{0, 100, 0} {
		for range stretch / 4 {
			data = append(data, base+byte(r.UintN(50)))
		}
	}
	p := &packer{effort: hasty, data: data, finder: match.New(data, 0, hasty.Limits)}
	p.parse.begin(len(data))
	p.split(0, p.gather(0))
	var ends []int
	at := 0
	for _, b := range p.pieces {
		at += b.bytes
		ends = append(ends, at)
	}
	// What the codes of the first will be like shows only after some pieces.
	if !slices.Contains(ends, stretch/4) || !slices.Contains(ends, stretch/2) || len(ends) > 4 {
		t.Errorf("blocks end at %d of %d", ends, len(data))
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("aaaaaaaaaabcabcabc"), 5)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		for _, hurry := range []bool{true, false} {
			roundTrip(t, data, 1+max(piece&0xffff, len(data)/8), hurry)
			roundTrip(t, bytes.Repeat(data, 20), 1+len(data)*7, hurry)
		}
	})
}
