package xz

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// unpackers are programs that unpack the format; each is an implementation of its own.
var unpackers = []string{"xz -dc", "busybox xz -dc"}

// packAll packs data in so many pieces.
func packAll(data []byte, pieces int) []byte {
	out := AppendHeader(nil)
	header := len(out)
	size := (len(data) + pieces - 1) / pieces
	for from := 0; from < len(data); from += size {
		out = Append(out, data[:min(from+size, len(data))], from)
	}
	return AppendFooter(out, data, len(out)-header)
}

func check(t *testing.T, data []byte, pieces int) (packed int) {
	t.Helper()
	out := packAll(data, pieces)
	for _, unpacker := range unpackers {
		words := strings.Fields(unpacker)
		if _, err := exec.LookPath(words[0]); err != nil {
			t.Logf("no %s here", words[0])
			continue
		}
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Stdin = bytes.NewReader(out)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if got, err := cmd.Output(); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes of %d in %d pieces came back: %v %s", unpacker, len(got), len(data), pieces, err, stderr.String())
		}
	}
	return len(out)
}

// randomData is what an executable is like: instructions of a few kinds, pieces that were
// there before, near and far, noise, and long runs.
func randomData(r *rand.Rand, n int) []byte {
	data := make([]byte, 0, n)
	for len(data) < n {
		switch size := 1 + r.IntN(300); r.IntN(6) {
		case 0: // noise
			for range size {
				data = append(data, byte(r.Uint32()))
			}
		case 1: // a run
			data = append(data, bytes.Repeat([]byte{byte(r.IntN(3))}, size*20)...)
		case 2, 3: // a copy
			if len(data) > 0 {
				at := r.IntN(len(data))
				if r.IntN(2) == 0 {
					at = max(0, len(data)-1-r.IntN(40))
				}
				for k := range size {
					data = append(data, data[at+k])
				}
			}
		default: // like instructions
			for range size {
				data = append(data, "\x48\x8b\x89\xe8\x00\x0f"[r.IntN(6)], byte(r.IntN(16)))
			}
		}
	}
	return data[:n]
}

func TestUnpacks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 3, 100, 5000, 70_000, 3 << 20} {
		for pieces := 1; pieces <= 5; pieces += 2 {
			check(t, randomData(r, n), pieces)
		}
	}
}

// What does not pack at all fits into chunks all the same, and hardly grows; what
// is only one byte takes a few chunks of the largest size.
func TestExtremes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	if n := check(t, noise, 3); n > len(noise)*102/100 {
		t.Errorf("noise has become %d bytes", n)
	}
	if n := check(t, make([]byte, 9<<20), 2); n > 4<<10 {
		t.Errorf("zeros have become %d bytes", n)
	}
}

// An executable packs like by the program itself.
func TestPacksWell(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data = data[:min(len(data), 4<<20)]
	n := check(t, data, 1)
	cmd := exec.Command("xz", "-c", "--lzma2=preset=6,dict=1MiB")
	cmd.Stdin = bytes.NewReader(data)
	theirs, err := cmd.Output()
	if err != nil {
		t.Skip("no xz here:", err)
	}
	t.Logf("%d bytes, by xz -6 %d", n, len(theirs))
	if n > len(theirs)*104/100 {
		t.Errorf("%d bytes, by xz -6 %d", n, len(theirs))
	}
}

func FuzzUnpacks(f *testing.F) {
	f.Add(uint64(1), uint32(10_000), uint8(2))
	f.Fuzz(func(t *testing.T, seed uint64, n uint32, pieces uint8) {
		check(t, randomData(rand.New(rand.NewPCG(seed, 0)), int(n%(1<<18))), 1+int(pieces%8))
	})
}
