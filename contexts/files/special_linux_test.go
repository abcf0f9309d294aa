package files

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
)

// specialTargets makes a target of every kind that is not a regular file, each
// below another name, and links to them.
func specialTargets(t *testing.T, dir string) {
	t.Helper()
	makeFifo(t, filepath.Join(dir, "pipe"))
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, name := range []string{"pipe", "dir", "socket"} {
		if err := os.Symlink(name, filepath.Join(dir, "link to "+name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/dev/null", filepath.Join(dir, "link to null")); err != nil {
		t.Fatal(err)
	}
	null, err := os.Stat("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	// Only root may make devices; the link is there for everybody.
	number := int(null.Sys().(*syscall.Stat_t).Rdev)
	if err := unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, number); err != nil && os.Geteuid() == 0 && !errors.Is(err, fs.ErrPermission) {
		t.Fatal(err)
	}
}

// TestWhatIsNotRegularIsNeverReplaced copies to each of them: devices and pipes
// are written into where that is wanted, anything else is an error, and all of
// them are there afterwards.
func TestWhatIsNotRegularIsNeverReplaced(t *testing.T) {
	for _, size := range []int{0, 10, smallFile + 1, 3*wire.BlockSize + 5} {
		for _, o := range []Options{{}, {NoSpecial: true}, {Overwrite: Replace}, {Overwrite: InPlace, Resume: true}, {Mode: 0o640, Times: true, Sync: true}} {
			dir, from := t.TempDir(), filepath.Join(t.TempDir(), "from")
			write(t, from, noise(size))
			specialTargets(t, dir)
			for _, name := range names(t, dir) {
				what := fmt.Sprintf("%q, %d bytes, %+v", name, size, o)
				to := filepath.Join(dir, name)
				before, err := os.Lstat(to)
				if err != nil {
					t.Fatal(err)
				}
				wantErr := error(nil)
				switch {
				case strings.Contains(name, "dir"):
					wantErr = syscall.EISDIR
				case strings.Contains(name, "socket"), o.NoSpecial:
					wantErr = fs.ErrInvalid
				}
				var got bytes.Buffer
				reader := make(chan error, 1)
				if strings.Contains(name, "pipe") && wantErr == nil {
					go func() {
						f, err := os.Open(to)
						if err == nil {
							_, err = got.ReadFrom(f)
							f.Close()
						}
						reader <- err
					}()
				} else {
					reader <- nil
				}
				res, _, err, getErr := copyOver(t, open(t, from), to, o, -1)
				if !errors.Is(err, wantErr) || !errors.Is(getErr, wantErr) || wantErr != nil && !strings.Contains(err.Error(), to) {
					t.Errorf("%s: %v; %v; not %v", what, err, getErr, wantErr)
				}
				if wantErr == nil && (res.SHA256 != sha256.Sum256(noise(size)) || res.Size != int64(size)) {
					t.Errorf("%s: got %+v, want the checksum of %d bytes", what, res, size)
				}
				if err := <-reader; err != nil || wantErr == nil && strings.Contains(name, "pipe") && !bytes.Equal(got.Bytes(), noise(size)) {
					t.Errorf("%s: %d bytes came, %v; want the %d of the source", what, got.Len(), err, size)
				}
				if after, err := os.Lstat(to); err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() {
					t.Errorf("%s: it is %v now, want %v as before; %v", what, after, before, err)
				}
			}
		}
	}
}

// A tree meets them where its files and links would be.
func TestATreeReplacesNothingSpecial(t *testing.T) {
	dir := t.TempDir()
	specialTargets(t, dir)
	for _, name := range names(t, dir) {
		for _, link := range []bool{false, true} {
			from := filepath.Join(t.TempDir(), "from")
			write(t, filepath.Join(from, "f"), noise(10))
			var err error
			if link {
				err = os.Symlink("f", filepath.Join(from, name))
			} else {
				err = os.Rename(filepath.Join(from, "f"), filepath.Join(from, name))
			}
			if err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			_, _, err, _ = copyOver(t, open(t, from), dir, Options{}, -1)
			after, statErr := os.Lstat(filepath.Join(dir, name))
			if isLink := before.Mode()&fs.ModeSymlink != 0; isLink && link {
				if err != nil {
					t.Errorf("%q: replacing a symbolic link by another: %v", name, err)
				}
				continue
			}
			if !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, syscall.EISDIR) || statErr != nil || !os.SameFile(before, after) {
				t.Errorf("%q, link %v: got %v, and it is %v now, %v; want ErrInvalid or EISDIR, and the same file", name, link, err, after, statErr)
			}
		}
	}
}

// A pipe that nobody opens, or that nobody reads from, holds up a copy no longer
// than the other side wants it.
func TestAPipeThatNobodyReads(t *testing.T) {
	for _, opened := range []bool{false, true} {
		for _, size := range []int{10, 4 << 20} {
			if opened && size == 10 {
				continue // that fits the pipe
			}
			dir := t.TempDir()
			to := filepath.Join(dir, "pipe")
			makeFifo(t, to)
			arrived := func() bool { return true }
			if opened {
				f, err := os.OpenFile(to, os.O_RDONLY|syscall.O_NONBLOCK, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				arrived = func() bool {
					n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ)
					return err == nil && n > 0
				}
			}
			from := filepath.Join(dir, "from")
			write(t, from, noise(size))
			a, b := newPipe(-1)
			src := open(t, from)
			go func() { _, _ = sendTree(a, src, Options{}) }()
			ended := make(chan error)
			go func() {
				_, err := receive(b, to, Options{}, false)
				ended <- err
			}()
			select {
			case err := <-ended:
				t.Fatalf("it ended with %v, want that it waits for a reader", err)
			case <-time.After(10 * disk.PipePoll):
			}
			for end := time.Now().Add(20 * time.Second); !arrived() && time.Now().Before(end); {
				time.Sleep(disk.PipePoll)
			}
			a.Reset(errCut)
			select {
			case err := <-ended:
				if !errors.Is(err, errCut) {
					t.Errorf("opened %v, %d bytes: got %v, want the error of the connection", opened, size, err)
				}
				if opened && !errors.Is(err, ErrIncomplete) {
					t.Errorf("%d bytes: got %v, want ErrIncomplete, as not all have arrived", size, err)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("opened %v, %d bytes: it still waits 20 s after the end of the connection", opened, size)
			}
		}
	}
}

// Names of descriptors are those of the process that was told them by a person.
func TestDescriptorsAsTargets(t *testing.T) {
	from := filepath.Join(t.TempDir(), "from")
	for _, size := range []int{0, 10, 3*wire.BlockSize + 1} {
		write(t, from, noise(size))
		file, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteString("before "); err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"/dev/fd/%d", "/proc/self/fd/%d"} {
			to := fmt.Sprintf(format, file.Fd())
			mustCopy(t, from, to, Options{})
			a, b := newPipe(-1)
			done := make(chan error)
			go func() {
				_, err := receive(b, to, Options{}, false)
				done <- err
			}()
			if _, err := sendTree(a, open(t, from), Options{}); err == nil {
				t.Errorf("%s of a process that no user has started: got no error, want one", to)
			}
			if err := <-done; !errors.Is(err, fs.ErrInvalid) {
				t.Error(err)
			}
		}
		if _, err := file.WriteString(" behind"); err != nil {
			t.Fatal(err)
		}
		want := "before " + string(noise(size)) + string(noise(size)) + " behind"
		if got, err := os.ReadFile(file.Name()); err != nil || string(got) != want {
			t.Errorf("%d bytes: there are %d, not %d; %v", size, len(got), len(want), err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(r)
		got <- b
	}()
	mustCopy(t, from, fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), w.Fd()), Options{})
	w.Close()
	if b := <-got; !bytes.Equal(b, noise(3*wire.BlockSize+1)) {
		t.Errorf("%d bytes came out of the pipe, want %d", len(b), 3*wire.BlockSize+1)
	}
	for path, want := range map[string]int{"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2, "/dev/fd/17": 17, "/dev/fd/x": -1, "/dev/fd/-1": -1, "/proc/1/fd/1": -1, "/dev/null": -1} {
		if n, ok := disk.DescriptorOf(path); ok != (want >= 0) || ok && n != want {
			t.Errorf("%s: got descriptor %d, %v; want %d (-1: none)", path, n, ok, want)
		}
	}
}

// In a directory where anybody can make files, another user's is no place for
// contents, and says nothing about who may read them.
func TestFilesOfOthersInATemporaryDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of others")
	}
	for _, size := range []int{10, wire.BlockSize + 1} {
		dir := filepath.Join(t.TempDir(), "tmp")
		from := filepath.Join(t.TempDir(), "from")
		write(t, from, noise(size))
		to, pipe := filepath.Join(dir, "to"), filepath.Join(dir, "pipe")
		write(t, to, []byte("trap"))
		makeFifo(t, pipe)
		if err := errors.Join(os.Chmod(dir, 0o777|fs.ModeSticky), os.Chmod(to, 0o666), os.Chown(to, 1, 1), os.Chown(pipe, 1, 1)); err != nil {
			t.Fatal(err)
		}
		if _, _, err, _ := copyOver(t, open(t, from), pipe, Options{}, -1); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("into another user's pipe: got %v, want fs.ErrPermission", err)
		}
		if _, _, err, _ := copyOver(t, open(t, from), to, Options{Overwrite: InPlace}, -1); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("into another user's file: got %v, want fs.ErrPermission", err)
		}
		if b, err := os.ReadFile(to); err != nil || string(b) != "trap" {
			t.Errorf("the other user's file has %d bytes, %v; want that it stays", len(b), err)
		}
		mustCopy(t, from, to, Options{})
		info, err := os.Stat(to)
		if err != nil || info.Mode() != 0o640 {
			t.Errorf("got mode %v, %v; want 0640, that of the source", info.Mode(), err)
		}
		if uid, gid := disk.OwnerOf(info); uid != 0 || gid != 0 {
			t.Errorf("the new file belongs to %d:%d, want us", uid, gid)
		}
	}
}

// Nobody who asks for a resource waits for whoever may write to a pipe.
func TestAPipeIsNoResource(t *testing.T) {
	dir := t.TempDir()
	makeFifo(t, filepath.Join(dir, "pipe"))
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	got := make(chan error, 1)
	go func() {
		_, err := readResource(root.FS(), "pipe")
		got <- err
	}()
	select {
	case err := <-got:
		if !errors.Is(err, fs.ErrInvalid) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for a writer")
	}
}

// The permissions of a device are not those of its contents: a new file of them is the user's alone.
func TestContentsOfADeviceAreTheUsersAlone(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	go func() { _ = os.WriteFile(fifo, []byte("contents"), 0) }()
	for _, source := range []string{os.DevNull, fifo} {
		to := filepath.Join(dir, "of "+filepath.Base(source))
		mustCopy(t, source, to, Options{})
		info, err := os.Stat(to)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("a new file of the contents of %s has mode %v (error: %v), want 0600", source, info.Mode(), err)
		}
	}
}
