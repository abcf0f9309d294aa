package files

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/mitosis-go/mitosis/contexts/files/internal/checksum"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
)

// said is a connection on which everything has been said already.
type said struct{ io.Reader }

func (said) Write(b []byte) (int, error) { return len(b), nil }
func (said) Reset(error)                 {}
func (said) Done() <-chan struct{}       { return nil }

// FuzzReceive has a sender say anything. Nothing outside of the target may
// change, and nothing but what is complete may be left.
func FuzzReceive(f *testing.F) {
	record := func(say func(w *wire.Writer)) {
		var b bytes.Buffer
		w := wire.NewWriter(&b)
		say(w)
		_ = w.Value(wire.RecEnd, &wire.Ending{Source: "/x"})
		_ = w.Flush()
		f.Add(b.Bytes())
	}
	sum := checksum.Small([]byte("data"), false)
	record(func(w *wire.Writer) {
		_ = w.Value(wire.RecEntry, &wire.Entry{Size: 4, Mode: 0o644})
		_ = w.Record(wire.RecData, []byte("data"))
		_ = w.Record(wire.RecFinish, sum)
	})
	record(func(w *wire.Writer) {
		_ = w.Value(wire.RecEntry, &wire.Entry{Kind: wire.KindDir, Mode: 0o755})
		_ = w.Value(wire.RecEntry, &wire.Entry{Kind: wire.KindDir, Path: "a", Mode: 0o755})
		_ = w.Value(wire.RecEntry, &wire.Entry{Kind: wire.KindSymlink, Path: "a/l", Symlink: "../.."})
		_ = w.Value(wire.RecEntry, &wire.Entry{Path: "a/l/f", Size: 4})
		_ = w.Record(wire.RecData, []byte("data"))
		_ = w.Record(wire.RecFinish, checksum.Small([]byte("data"), true))
	})
	record(func(w *wire.Writer) {
		_ = w.Value(wire.RecEntry, &wire.Entry{Size: 1 << 20, Sparse: true})
		_ = w.Number(wire.RecHole, 1<<20)
		_ = w.Record(wire.RecFinish, sum)
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		outside := filepath.Join(dir, "outside")
		write(t, outside, []byte("mine"))
		place := filepath.Join(dir, "place")
		if err := os.Mkdir(place, 0o700); err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(place, "target")
		_, err := receive(said{bytes.NewReader(b)}, target, Options{MaxBytes: 1 << 22, MaxEntries: 100, MaxDepth: 5}, false)
		if got, readErr := os.ReadFile(outside); readErr != nil || string(got) != "mine" || len(names(t, dir)) != 2 {
			t.Fatalf("outside of the target there is %q, %v; want that nothing has changed", got, readErr)
		}
		for _, name := range names(t, place) {
			if name != "target" {
				t.Fatalf("%q is left, %v; want the target only", name, err)
			}
		}
		// A tree may have been made in part; a file may not.
		if info, statErr := os.Lstat(target); statErr == nil && err != nil && !info.IsDir() {
			t.Fatalf("the copy has failed with %v, but there is %v; want no file", err, info)
		}
	})
}
