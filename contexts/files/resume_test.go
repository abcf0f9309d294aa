package files

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
)

// sweepPoints is at how many points a copy is cut.
const sweepPoints = 200

// TestTheLinkDies cuts the connection at 200 points of a copy. At each the
// error says so, the target is the old file or the new, and nothing else is
// left; with Resume a second copy completes it.
func TestTheLinkDies(t *testing.T) {
	content := noise(2<<20 + 4321)
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	write(t, from, content)
	total := 0
	for _, resume := range []bool{false, true} {
		whole := len(content) + 1000
		continued := 0
		for i := range sweepPoints {
			place := filepath.Join(dir, "place")
			to := filepath.Join(place, "to")
			write(t, to, []byte("old"))
			o := Options{Resume: resume}
			_, _, err, getErr := copyOver(t, open(t, from), to, o, whole*i/sweepPoints)
			got, readErr := os.ReadFile(to)
			if readErr != nil {
				t.Fatal(readErr)
			}
			isNew := bytes.Equal(got, content)
			switch {
			case !isNew && string(got) != "old":
				t.Fatalf("point %d: the target has %d bytes, want the old contents or the new ones", i, len(got))
			case !isNew && (!errors.Is(err, errCut) || !errors.Is(getErr, errCut)):
				t.Fatalf("point %d: got %v and %v, want that both sides were cut", i, err, getErr)
			case !isNew:
				total++
			}
			left := names(t, place)
			if len(left) != 1 && (!resume || len(left) != 2 || left[0] != disk.PartialName("to")) {
				t.Fatalf("point %d: the directory has %q, want the target, and with Resume (%v) a partial file", i, left, resume)
			}
			if !resume {
				continue
			}
			res := mustCopy(t, from, to, o)
			if res.SHA256 != sha256.Sum256(content) || len(names(t, place)) != 1 {
				t.Fatalf("point %d: got %+v, and the directory has %q; want the checksum and the target only", i, res, names(t, place))
			}
			if len(left) == 2 && res.Sent < res.Size {
				continued++
			}
		}
		if resume && continued < sweepPoints/2 {
			t.Errorf("%d of the copies were continued, want at least half of %d for the test to mean something", continued, sweepPoints)
		}
	}
	if total < sweepPoints {
		t.Errorf("%d copies were cut, want at least %d for the test to mean something", total, sweepPoints)
	}
}

// TestATreeIsCut cuts the copy of a tree: each file is the old or the new one.
func TestATreeIsCut(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	for i := range 20 {
		write(t, filepath.Join(from, "d", string(rune('a'+i))), noise(5000))
	}
	for i := range sweepPoints {
		to := filepath.Join(dir, "to")
		for i := range 20 {
			write(t, filepath.Join(to, "d", string(rune('a'+i))), []byte("old"))
		}
		_, _, err, getErr := copyOver(t, open(t, from), to, Options{}, 100_000*i/sweepPoints)
		if !errors.Is(err, errCut) || getErr == nil {
			t.Fatalf("point %d: got %v and %v, want that both sides were cut", i, err, getErr)
		}
		for _, name := range names(t, filepath.Join(to, "d")) {
			b, err := os.ReadFile(filepath.Join(to, "d", name))
			if err != nil || string(b) != "old" && !bytes.Equal(b, noise(5000)) || strings.HasPrefix(name, ".") {
				t.Fatalf("point %d: %q has %d bytes, %v; want whole files, old or new, and no others", i, name, len(b), err)
			}
		}
	}
}

// TestWhatIsNotContinued is about files under the name of a partial copy that
// are not the beginning of the source, or not ours to trust.
func TestWhatIsNotContinued(t *testing.T) {
	content := noise(3 << 20)
	old := time.Now().Add(-2 * disk.MaxPartialAge)
	for what, prepare := range map[string]func(path string) error{
		"another beginning": func(path string) error { return os.WriteFile(path, noise(1<<20+1), 0o600) },
		"too long":          func(path string) error { return os.WriteFile(path, make([]byte, 4<<20), 0o600) },
		"too old": func(path string) error {
			return errors.Join(os.WriteFile(path, content[:1<<20], 0o600), os.Chtimes(path, old, old))
		},
		"open to all": func(path string) error {
			return errors.Join(os.WriteFile(path, content[:1<<20], 0o600), os.Chmod(path, 0o666))
		},
		"a link": func(path string) error {
			return errors.Join(os.WriteFile(path+".x", content[:1<<20], 0o600), os.Symlink(path+".x", path))
		},
		"a second name": func(path string) error {
			return errors.Join(os.WriteFile(path, content[:1<<20], 0o600), os.Link(path, path+".x"))
		},
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "d", "to")
			write(t, from, content)
			if err := errors.Join(os.Mkdir(filepath.Dir(to), 0o700), prepare(filepath.Join(dir, "d", disk.PartialName("to")))); err != nil {
				t.Fatal(err)
			}
			res := mustCopy(t, from, to, Options{Resume: true})
			got, err := os.ReadFile(to)
			if err != nil || !bytes.Equal(got, content) || res.Sent != res.Size {
				t.Errorf("the target has %d bytes, %v: %+v; want that all %d are sent again", len(got), err, res, len(content))
			}
			info, err := os.Lstat(to)
			if err != nil || info.Mode() != 0o640 {
				t.Errorf("got %v, %v; want mode 0640", info, err)
			}
		})
	}
}

func TestAPartialFileIsCompleteAlready(t *testing.T) {
	content := noise(2 << 20)
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	write(t, from, content)
	if err := os.WriteFile(filepath.Join(dir, disk.PartialName("to")), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if res := mustCopy(t, from, to, Options{Resume: true}); res.Sent != 0 || res.SHA256 != sha256.Sum256(content) {
		t.Errorf("got %+v, want that nothing is sent, and the checksum", res)
	}
	if len(names(t, dir)) != 2 {
		t.Errorf("the directory has %q, want two files", names(t, dir))
	}
}

func TestTwoCopiesToOneTarget(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "d", "to")
	write(t, from, noise(8<<20))
	if err := os.Mkdir(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 3)
	for range cap(done) {
		src := open(t, from)
		go func() {
			_, _, err, _ := copyOver(t, src, to, Options{Resume: true}, -1)
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(to); err != nil || !bytes.Equal(b, noise(8<<20)) || len(names(t, filepath.Dir(to))) != 1 {
		t.Errorf("the target has %d bytes, %v, and its directory %q; want %d bytes and the target only", len(b), err, names(t, filepath.Dir(to)), 8<<20)
	}
}

// TestNamedTemps has no files without names, as on systems that are not Linux.
func TestNamedTemps(t *testing.T) {
	disk.NoUnnamed.Store(true)
	defer disk.NoUnnamed.Store(false)
	t.Run("a file", TestAFileArrives)
	t.Run("failures", TestFailures)
	t.Run("the link dies", TestTheLinkDies)
	t.Run("a tree is cut", TestATreeIsCut)
	t.Run("a tree", TestATreeArrives)
}

func TestANewTargetReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	for i, named := range []bool{false, true} {
		disk.NoUnnamed.Store(named)
		defer disk.NoUnnamed.Store(false)
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, string(rune('a'+i)))
		write(t, from, noise(2<<20))
		// Somebody makes the target while it is being sent.
		_, _, err, _ := copyOver(t, open(t, from), to, Options{NoReplace: true, Progress: func(Progress) {
			f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if _, err := io.WriteString(f, "theirs"); err != nil {
				t.Error(err)
			}
		}}, -1)
		if !errors.Is(err, os.ErrExist) {
			t.Error(err)
		}
		if b, err := os.ReadFile(to); err != nil || string(b) != "theirs" {
			t.Errorf("the target has %d bytes, %v; want the file of the other process", len(b), err)
		}
	}
	if left := names(t, dir); len(left) != 3 {
		t.Errorf("the directory has %q, want three files", left)
	}
}
