package files_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
)

// inside makes a directory and returns it together with the name that it has
// in a Dir.
func inside(t *testing.T) (dir, name string) {
	t.Helper()
	dir = t.TempDir()
	return dir, strings.TrimPrefix(filepath.ToSlash(dir), "/")
}

// rootOf makes a directory and opens it in a context.
func rootOf(t *testing.T, n *contexts.Node) (f *files.Dir, dir, name string) {
	t.Helper()
	dir, name = inside(t)
	f, err := files.FS(t.Context(), n).OpenRoot(name)
	if err != nil {
		t.Fatal(err)
	}
	return f, dir, name
}

func TestFSIsOne(t *testing.T) {
	self := start(t, nil)
	n := child(t, self)
	dir, name := inside(t)
	for file, content := range map[string]string{"a": "alpha", "d/e/f": strings.Repeat("f", 3000), "d/g": ""} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, file), []byte(content))
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	sub, err := files.FS(t.Context(), n).Sub(name)
	if err != nil {
		t.Fatal(err)
	}
	confined, err := files.FS(t.Context(), n).OpenRoot(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, fsys := range []fs.FS{sub, confined} {
		if err := fstest.TestFS(fsys, "a", "d/e/f", "d/g", "link"); err != nil {
			t.Error(err)
		}
	}
}

func TestFSWrites(t *testing.T) {
	self := start(t, nil)
	n := child(t, child(t, self))
	f, dir, _ := rootOf(t, n)
	then := time.Unix(1_100_000_000, 0)
	odd := "odd\n\xff"
	for what, err := range map[string]error{
		"mkdir":      f.Mkdir("d", 0o750),
		"mkdirall":   f.MkdirAll("x/y/z", 0o755),
		"writefile":  f.WriteFile("x/"+odd, []byte("content"), 0o640),
		"rename":     f.Rename("x/"+odd, "d/"+odd),
		"symlink":    f.Symlink(odd, "d/link"),
		"chmod":      f.Chmod("d/"+odd, 0o604),
		"chtimes":    f.Chtimes("d/"+odd, then, then),
		"chown":      f.Chown("d/"+odd, os.Getuid(), os.Getgid()),
		"lchown":     f.Lchown("d/link", os.Getuid(), os.Getgid()),
		"remove":     f.Remove("x/y/z"),
		"removeall":  f.RemoveAll("x"),
		"remove not": f.RemoveAll("no/such"),
	} {
		// The map's values are evaluated in order, before the loop.
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "d", odd))
	if err != nil || info.Mode() != 0o604 || !info.ModTime().Equal(then) || info.Size() != 7 {
		t.Errorf("stat: got %v, %v; want mode 0604, 7 bytes and %v", info, err, then)
	}
	if to, err := f.ReadLink("d/link"); err != nil || to != odd {
		t.Errorf("the symbolic link leads to %q, %v; want %q", to, err, odd)
	}
	if b, err := f.ReadFile("d/link"); err != nil || string(b) != "content" {
		t.Errorf("reading by the symbolic link: got %q, %v; want the content", b, err)
	}
	list, err := f.ReadDir("d")
	if err != nil || len(list) != 2 || list[0].Name() != "link" || list[1].Name() != odd || list[0].Type() != fs.ModeSymlink {
		t.Errorf("the directory has %v, %v; want the symbolic link and %q", list, err, odd)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("in the end there is %v, %v; want one entry", list, err)
	}
}

func TestOpenFilesOfAFS(t *testing.T) {
	self := start(t, nil)
	f, dir, _ := rootOf(t, child(t, self))
	file, err := f.Create("file")
	if err != nil {
		t.Fatal(err)
	}
	content := pattern(3<<20 + 11)
	if n, err := file.Write(content); err != nil || n != len(content) {
		t.Fatal(n, err)
	}
	if _, err := file.WriteAt([]byte("patched"), 5); err != nil {
		t.Error(err)
	}
	copy(content[5:], "patched")
	if at, err := file.Seek(-11, io.SeekCurrent); err != nil || at != 3<<20 {
		t.Errorf("seeking back: got %d, %v; want %d", at, err, 3<<20)
	}
	tail, err := io.ReadAll(file)
	if err != nil || !bytes.Equal(tail, content[3<<20:]) {
		t.Errorf("the tail has %d bytes, %v; want %d", len(tail), err, len(content)-3<<20)
	}
	if err := errors.Join(file.Truncate(2<<20), file.Sync()); err != nil {
		t.Error(err)
	}
	if at, err := file.Seek(0, io.SeekStart); err != nil || at != 0 {
		t.Errorf("seeking to the start: got %d, %v; want 0", at, err)
	}
	// Reading and writing share one place, whatever was read ahead.
	small := make([]byte, 100)
	if _, err := io.ReadFull(file, small); err != nil || !bytes.Equal(small, content[:100]) {
		t.Error(err)
	}
	if _, err := file.Write([]byte("between")); err != nil {
		t.Error(err)
	}
	copy(content[100:], "between")
	rest, err := io.ReadAll(file)
	if err != nil || !bytes.Equal(rest, content[107:2<<20]) {
		t.Errorf("the rest has %d bytes, %v; want those from 107 to %d", len(rest), err, 2<<20)
	}
	part := make([]byte, 1<<20)
	if n, err := file.ReadAt(part, 1<<20+1); err != io.EOF || n != 1<<20-1 || !bytes.Equal(part[:n], content[1<<20+1:2<<20]) {
		t.Errorf("ReadAt beyond the end: got %d, %v; want %d and io.EOF", n, err, 1<<20-1)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	if err := file.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed twice: got %v, want fs.ErrClosed", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || !bytes.Equal(b, content[:2<<20]) {
		t.Errorf("the file has %d bytes, %v; want the first %d", len(b), err, 2<<20)
	}
	add, err := f.OpenFile("file", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(add, "at the end"); err != nil {
		t.Error(err)
	}
	if err := add.Close(); err != nil {
		t.Error(err)
	}
	if b, err := f.ReadFile("file"); err != nil || !bytes.HasSuffix(b, []byte("at the end")) || len(b) != 2<<20+10 {
		t.Errorf("the file has %d bytes, %v; want %d with the text at the end", len(b), err, 2<<20+10)
	}
}

func TestErrorsOfAFS(t *testing.T) {
	self := start(t, nil)
	n := child(t, child(t, self))
	f, dir, name := rootOf(t, n)
	writeFile(t, filepath.Join(dir, "file"), nil)
	if err := errors.Join(os.Symlink("/etc", filepath.Join(dir, "out")), os.Symlink("..", filepath.Join(dir, "up"))); err != nil {
		t.Fatal(err)
	}
	_, statErr := f.Stat("none")
	_, openErr := f.Open("none")
	_, dirErr := f.ReadDir("file")
	_, rootErr := f.OpenRoot("file")
	_, exclErr := f.OpenFile("file", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	for what, c := range map[string]struct{ err, want error }{
		"stat": {statErr, fs.ErrNotExist}, "open": {openErr, fs.ErrNotExist}, "readdir": {dirErr, syscall.ENOTDIR},
		"openroot": {rootErr, syscall.ENOTDIR}, "exclusive": {exclErr, fs.ErrExist}, "mkdir": {f.Mkdir("file", 0o700), fs.ErrExist},
		"the root": {f.RemoveAll("."), fs.ErrInvalid}, "an absolute name": {f.Remove("/etc/passwd"), fs.ErrInvalid},
		"a name that leads out": {f.WriteFile("../x", nil, 0o600), fs.ErrInvalid},
	} {
		p, ok := errors.AsType[*fs.PathError](c.err)
		if !ok || !errors.Is(c.err, c.want) || p.Path == "" {
			t.Errorf("%s: got %v, want a *fs.PathError of %v", what, c.err, c.want)
		}
	}
	if e, ok := errors.AsType[*contexts.Error](statErr); !ok || e.Path != n.String() {
		t.Errorf("got %v, want the path of the node in it", statErr)
	}
	// Nothing leads out of a root, nor out of one within it.
	for _, name := range []string{"out/passwd", "up/x"} {
		if _, err := f.ReadFile(name); err == nil {
			t.Errorf("%s was read, want an error as it is out of the root", name)
		}
	}
	if _, err := f.OpenRoot("out"); err == nil {
		t.Error("a link that leads out was opened as a root")
	}
	ctx, cancel := context.WithCancel(t.Context())
	file, err := files.FS(ctx, n).OpenFile(name+"/file", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := file.Stat(); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of ctx: got %v, want context.Canceled", err)
	}
}
