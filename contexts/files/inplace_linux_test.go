package files

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/contexts/files/internal/checksum"
	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
)

// inPlaceSizes are contents that are gathered in memory, that are not, and that
// Resume keeps.
var inPlaceSizes = []int{0, 10, smallFile + 1, disk.MinPartial + 5}

// longer is more than the smallest of them.
const longer = "what was there, and is longer than ten bytes"

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// mountOver mounts a file on another, as containers have their /etc/hosts.
func mountOver(t *testing.T, file, on string) {
	t.Helper()
	if err := syscall.Mount(file, on, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(on, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func setAttribute(t *testing.T, path string, flag int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|flag)
	}
	if err != nil {
		f.Close()
		t.Skipf("this file system has no such attributes: %v", err)
	}
	t.Cleanup(func() {
		defer f.Close()
		if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags); err != nil {
			t.Error(err)
		}
	})
}

const (
	immutable  = 0x10 // linux/fs.h
	appendOnly = 0x20
)

// TestWhatCannotBeReplacedIsWrittenInPlace has targets that keep their name,
// whatever is tried: the contents go into them, which the result says, unless
// the options forbid it.
func TestWhatCannotBeReplacedIsWrittenInPlace(t *testing.T) {
	for what, prepare := range map[string]func(t *testing.T, dir, to string){
		"a mount point": func(t *testing.T, dir, to string) {
			below := filepath.Join(t.TempDir(), "below")
			write(t, below, []byte(longer))
			mountOver(t, below, to)
		},
		"a read-only directory": func(t *testing.T, dir, to string) {
			below := filepath.Join(t.TempDir(), "below")
			write(t, below, []byte(longer))
			mountOver(t, below, to)
			if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		},
		"an immutable directory":      func(t *testing.T, dir, to string) { setAttribute(t, dir, immutable) },
		"a directory that only grows": func(t *testing.T, dir, to string) { setAttribute(t, dir, appendOnly) },
	} {
		for _, size := range inPlaceSizes {
			for _, resume := range []bool{false, true} {
				t.Run(fmt.Sprint(what, size, resume), func(t *testing.T) {
					dir := t.TempDir()
					if what == "a read-only directory" {
						mountOver(t, dir, dir)
					}
					from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(dir, "to")
					write(t, from, noise(size))
					write(t, to, []byte(longer))
					prepare(t, dir, to)
					before := inode(t, to)
					_, _, err, getErr := copyOver(t, open(t, from), to, Options{Overwrite: Replace, Resume: resume}, -1)
					if !disk.CannotReplace(err) || !disk.CannotReplace(getErr) || errors.Is(err, ErrIncomplete) {
						t.Errorf("replacing the file is impossible: got %v and %v, want errors that say so", err, getErr)
					}
					if b, err := os.ReadFile(to); err != nil || string(b) != longer {
						t.Errorf("the file has %d bytes, %v; want the old ones", len(b), err)
					}
					then := time.Unix(1_000_000_000, 0)
					if err := os.Chtimes(from, then, then); err != nil {
						t.Fatal(err)
					}
					res := mustCopy(t, from, to, Options{Times: true, Sync: true, Resume: resume})
					if res.SHA256 != sha256.Sum256(noise(size)) || len(res.Notes) != 1 || res.Notes[0].Kind != NoteInPlace || res.Notes[0].Reason == "" {
						t.Errorf("got %+v, want the checksum, and one note with a reason that it was written in place", res)
					}
					if b, err := os.ReadFile(to); err != nil || !bytes.Equal(b, noise(size)) || inode(t, to) != before {
						t.Errorf("the file has %d bytes, %v, or is another; want the %d of the source in the same file", len(b), err, size)
					}
					if info, err := os.Stat(to); err != nil || !info.ModTime().Equal(then) {
						t.Errorf("got %v, %v; want the time of the source, %v", info.ModTime(), err, then)
					}
					if left := names(t, dir); len(left) != 1 {
						t.Errorf("the directory has %q, want the target only", left)
					}
				})
			}
		}
	}
}

// A file that may not be changed is left alone, and the error says so.
func TestAFileThatMayNotBeChanged(t *testing.T) {
	for _, flag := range []int{immutable, appendOnly} {
		for _, size := range inPlaceSizes {
			for _, way := range []Overwrite{ReplaceOrInPlace, Replace, InPlace} {
				t.Run(fmt.Sprint(flag, size, way), func(t *testing.T) {
					dir := t.TempDir()
					from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(dir, "to")
					write(t, from, noise(size))
					write(t, to, []byte("old"))
					setAttribute(t, to, flag)
					_, _, err, getErr := copyOver(t, open(t, from), to, Options{Overwrite: way}, -1)
					if !errors.Is(err, fs.ErrPermission) || !errors.Is(getErr, fs.ErrPermission) || errors.Is(err, ErrIncomplete) {
						t.Errorf("got %v and %v, want fs.ErrPermission, and not ErrIncomplete", err, getErr)
					}
					if b, err := os.ReadFile(to); err != nil || string(b) != "old" || len(names(t, dir)) != 1 {
						t.Errorf("the target has %q, %v, and its directory %q; want the old contents and nothing else", b, err, names(t, dir))
					}
				})
			}
		}
	}
}

// In place a file keeps its inode and its other names, whatever was in it.
func TestInPlace(t *testing.T) {
	for _, size := range inPlaceSizes {
		for _, old := range []int{0, 5, 20 * wire.BlockSize} {
			for _, resume := range []bool{false, true} {
				dir := t.TempDir()
				from, to, other := filepath.Join(t.TempDir(), "from"), filepath.Join(dir, "to"), filepath.Join(dir, "other")
				write(t, from, noise(size))
				write(t, to, noise(old))
				if err := os.Link(to, other); err != nil {
					t.Fatal(err)
				}
				res := mustCopy(t, from, to, Options{Overwrite: InPlace, Resume: resume})
				if res.SHA256 != sha256.Sum256(noise(size)) || len(res.Notes) != 0 {
					t.Errorf("got %+v, want the checksum and no notes", res)
				}
				if b, err := os.ReadFile(other); err != nil || !bytes.Equal(b, noise(size)) || inode(t, to) != inode(t, other) {
					t.Errorf("%d bytes over %d: by its other name the file has %d, %v; want the new contents", size, old, len(b), err)
				}
				if left := names(t, dir); len(left) != 2 {
					t.Errorf("the directory has %q, want the two names only", left)
				}
			}
		}
	}
}

// Holes take the place of what was there.
func TestHolesInPlace(t *testing.T) {
	for _, size := range []int64{8 << 20, checksum.MaxHoles + 8<<20} {
		for _, mount := range []bool{false, true} {
			dir := t.TempDir()
			from, to, plain := filepath.Join(dir, "from"), filepath.Join(dir, "d", "to"), filepath.Join(dir, "plain")
			f, err := os.Create(from)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt(noise(wire.BlockSize), 4<<20)
			if err := errors.Join(err, f.Truncate(size), f.Close()); err != nil {
				t.Fatal(err)
			}
			write(t, to, noise(6<<20))
			o := Options{Overwrite: InPlace}
			if mount {
				below := filepath.Join(dir, "below")
				write(t, below, noise(6<<20))
				mountOver(t, below, to)
				o = Options{}
			}
			mustCopy(t, from, to, o)
			mustCopy(t, from, plain, Options{})
			if a, b := hashOf(t, plain), hashOf(t, to); a != b {
				t.Errorf("%d bytes, mounted %v: contents written in place differ from those of a new file", size, mount)
			}
		}
	}
}

// hashOf is the checksum of the part of a file in which these tests write
// anything, and of its size.
func hashOf(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	h := sha256.New()
	if _, readErr := io.Copy(h, io.LimitReader(f, 10<<20)); errors.Join(err, readErr) != nil {
		t.Fatal(err, readErr)
	}
	return fmt.Sprintf("%d %x", info.Size(), h.Sum(nil))
}

// TestInPlaceIsCut cuts the connection at many points: the target is the old
// file, or the new, or both sides say that it may be neither. The side where it
// is never calls a torn one whole.
func TestInPlaceIsCut(t *testing.T) {
	content := noise(2<<20 + 4321)
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "d", "to")
	write(t, from, content)
	torn := 0
	const points = sweepPoints / 4
	for i := range points {
		write(t, to, []byte("old"))
		_, _, err, getErr := copyOver(t, open(t, from), to, Options{Overwrite: InPlace}, (len(content)+1000)*i/points)
		got, readErr := os.ReadFile(to)
		if readErr != nil {
			t.Fatal(readErr)
		}
		whole := string(got) == "old" || bytes.Equal(got, content)
		switch {
		case !whole && !errors.Is(getErr, ErrIncomplete), !whole && !errors.Is(err, ErrIncomplete):
			t.Fatalf("point %d: the target has %d bytes, and the errors are %v and %v; want ErrIncomplete from both", i, len(got), err, getErr)
		case string(got) == "old" && errors.Is(getErr, ErrIncomplete):
			t.Fatalf("point %d: the target was not touched: got %v, want another error than ErrIncomplete", i, getErr)
		case !whole:
			torn++
		}
		if left := names(t, filepath.Dir(to)); len(left) != 1 {
			t.Fatalf("point %d: the directory has %q, want the target only", i, left)
		}
	}
	if torn < points/2 {
		t.Errorf("%d targets were torn, want at least half of %d for the test to mean something", torn, points)
	}
}

// A source that fails while its contents go straight into the target leaves
// that incomplete, and the sender says so.
func TestASourceFailsInPlace(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	write(t, from, noise(20*wire.BlockSize))
	write(t, to, []byte("old"))
	cut := false
	o := Options{Overwrite: InPlace, Progress: func(Progress) {
		if !cut {
			cut = true
			if err := os.Truncate(from, wire.BlockSize); err != nil {
				t.Error(err)
			}
		}
	}}
	if _, _, err, getErr := copyOver(t, open(t, from), to, o, -1); !errors.Is(err, ErrIncomplete) || !errors.Is(getErr, ErrIncomplete) {
		t.Errorf("got %v and %v, want ErrIncomplete from both sides", err, getErr)
	}
}

// Where there is no room for new contents in place, the old ones are not touched.
func TestAFullDiskInPlace(t *testing.T) {
	full := fullDisk(t)
	if full == "" {
		t.Skip("no small file system can be mounted here")
	}
	to := filepath.Join(full, "to")
	for _, size := range []int{50 << 10, 3 << 20} {
		from := filepath.Join(t.TempDir(), "from")
		write(t, from, noise(size))
		write(t, to, []byte("old"))
		_, _, err, getErr := copyOver(t, open(t, from), to, Options{Overwrite: InPlace}, -1)
		if !errors.Is(err, syscall.ENOSPC) || !errors.Is(getErr, syscall.ENOSPC) {
			t.Errorf("got %v and %v, want ENOSPC from both sides", err, getErr)
		}
		if b, err := os.ReadFile(to); err != nil || string(b) != "old" {
			t.Errorf("%d bytes: the target has %d now, %v; want the old contents", size, len(b), err)
		}
	}
}

func TestAProgramThatRunsIsNotWrittenInPlace(t *testing.T) {
	dir := t.TempDir()
	to, from := filepath.Join(dir, "program"), filepath.Join(dir, "from")
	sleep, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, sleep)
	write(t, from, noise(10))
	if err := os.Chmod(to, 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := os.StartProcess(to, []string{"sleep", "1000"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = p.Kill()
		_, _ = p.Wait()
	}()
	if _, _, err, _ := copyOver(t, open(t, from), to, Options{Overwrite: InPlace}, -1); !errors.Is(err, syscall.ETXTBSY) || errors.Is(err, ErrIncomplete) {
		t.Errorf("in place: got %v, want ETXTBSY, and not ErrIncomplete", err)
	}
	mustCopy(t, from, to, Options{})
}
