package deflate

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// roundTrip packs data in pieces of so many bytes and has compress/flate
// unpack it.
func roundTrip(t *testing.T, data []byte, piece int) int {
	t.Helper()
	var packed []byte
	for at := 0; ; at += piece {
		end := min(at+piece, len(data))
		packed = Append(packed, data[:end], at, end == len(data))
		if end == len(data) {
			break
		}
	}
	rest := bytes.NewReader(packed)
	got, err := io.ReadAll(flate.NewReader(rest))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes in pieces of %d: %d came back, %v", len(data), piece, len(got), err)
	}
	if rest.Len() != 0 {
		t.Fatalf("%d bytes too many", rest.Len())
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
				t.Logf("%d bytes became %d", len(data), roundTrip(t, data, piece))
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
	got := roundTrip(t, exe, len(exe))
	t.Logf("%d bytes, compress/flate %d", got, std.Len())
	if got >= std.Len() {
		t.Errorf("%d bytes are not less than the %d of compress/flate", got, std.Len())
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("aaaaaaaaaabcabcabc"), 5)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		roundTrip(t, data, 1+max(piece&0xffff, len(data)/8))
		roundTrip(t, bytes.Repeat(data, 20), 1+len(data)*7)
	})
}
