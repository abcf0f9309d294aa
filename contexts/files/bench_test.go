package files

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkTree copies 5000 small files over a pipe in this process.
func BenchmarkTree(b *testing.B) {
	dir := b.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for i := range 5000 {
		write(b, filepath.Join(from, fmt.Sprint(i/200), fmt.Sprint(i)), noise(i%8000))
	}
	for b.Loop() {
		mustCopy(b, from, to, Options{})
		b.StopTimer()
		if err := os.RemoveAll(to); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkFile copies 64 MiB.
func BenchmarkFile(b *testing.B) {
	dir := b.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	write(b, from, noise(64<<20))
	b.SetBytes(64 << 20)
	for b.Loop() {
		mustCopy(b, from, to, Options{})
		b.StopTimer()
		if err := os.Remove(to); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
