package files

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// sparseFile makes a file with data in a few places.
func sparseFile(t *testing.T, path string, size int64, data map[int64]string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for at, s := range data {
		if _, err := f.WriteAt([]byte(s), at); err != nil {
			t.Fatal(err)
		}
	}
}

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestHolesStayHoles(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		size   int64
		data   map[int64]string
		hashed bool
	}{
		{10 * gib, map[int64]string{0: "first", 5*gib + 123: "middle", 10*gib - 4: "last"}, false},
		{10 * gib, nil, false},
		{64 << 20, map[int64]string{1 << 20: "data"}, true},
		{300 << 20, map[int64]string{0: "only the beginning"}, false},
	} {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		sparseFile(t, from, c.size, c.data)
		if blocks(t, from) > 1<<20 {
			t.Skip("the file system has no holes")
		}
		began := time.Now()
		res := mustCopy(t, from, to, Options{})
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the copy took %v, want less than 10 s", took)
		}
		info, err := os.Stat(to)
		if err != nil || info.Size() != c.size || blocks(t, to) > 1<<20 || res.Size != c.size || res.Sent > 1<<20 {
			t.Errorf("got %v, %d bytes on disk: %+v; want %d bytes with their holes, at most 1 MiB of it on disk and sent", info, blocks(t, to), res, c.size)
		}
		if hashed := res.SHA256 != [32]byte{}; hashed != c.hashed {
			t.Errorf("%d bytes: the result has a SHA-256: %v, want %v", c.size, hashed, c.hashed)
		}
		f, err := os.Open(to)
		if err != nil {
			t.Fatal(err)
		}
		for at, want := range c.data {
			got := make([]byte, len(want))
			if _, err := f.ReadAt(got, at); err != nil && err != io.EOF || string(got) != want {
				t.Errorf("at %d: got %q, %v; want %q", at, got, err, want)
			}
		}
		f.Close()
		// It is recognised as the same, and another as another.
		if again := mustCopy(t, from, to, Options{}); again.Sent != 0 {
			t.Errorf("copied again: got %+v, want that nothing is sent", again)
		}
		sparseFile(t, from, c.size, map[int64]string{12 << 20: "elsewhere"})
		if again := mustCopy(t, from, to, Options{}); again.Sent == 0 {
			t.Error("after a change: nothing was sent, want the change")
		}
	}
}
