package files

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
	"github.com/mitosis-go/mitosis/core"
)

// oddNames are what file systems of Unix take, too.
var oddNames = []string{"new\nline", "not UTF-8: \xff\xfe", " ", "-rf", "a\\b:c*?", "...", "\x01", strings.Repeat("n", wire.MaxName)}

// makeTree makes a tree with a bit of everything.
func makeTree(t testing.TB, root string) {
	t.Helper()
	for i, name := range oddNames {
		write(t, filepath.Join(root, "odd", name, name), noise(i))
	}
	write(t, filepath.Join(root, "large"), noise(3*wire.BlockSize+5))
	write(t, filepath.Join(root, "empty"), nil)
	for i := range 300 {
		write(t, filepath.Join(root, fmt.Sprintf("d%d/e%d", i%7, i%5), fmt.Sprint(i)), noise(i*37))
	}
	for link, to := range map[string]string{"dangling": "/no/such\xff", "up": "..", "file": "large", "d0/dir": "../d1"} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "locked", "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	then := time.Unix(1_200_000_000, 5000)
	if err := os.Chtimes(filepath.Join(root, "locked", "below"), then, then); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "locked"), 0o555); err != nil {
		t.Fatal(err)
	}
	unlockAtEnd(t, root)
}

// unlockAtEnd has a tree of makeTree be removable, when the test ends, by a user without
// root's rights.
func unlockAtEnd(t testing.TB, root string) {
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(root, "locked"), 0o755) })
}

// listing describes all of a tree.
func listing(t testing.TB, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%q %v", strings.TrimPrefix(path, root), info.Mode())
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %v %x", info.ModTime().UnixNano(), content)
		case info.IsDir():
			fmt.Fprintf(&b, " %v", info.ModTime().UnixNano())
		default:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q", to)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestATreeArrives(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	makeTree(t, from)
	unlockAtEnd(t, to)
	makeFifo(t, filepath.Join(from, "fifo"))
	res := mustCopy(t, from, to, Options{Times: true})
	if len(res.Skipped) != 1 || res.Skipped[0] != "fifo" {
		t.Errorf("skipped: got %q, want the named pipe", res.Skipped)
	}
	if err := os.Remove(filepath.Join(from, "fifo")); err != nil {
		t.Fatal(err)
	}
	// Its time has changed by that, and is copied no more.
	info, err := os.Stat(to)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(from, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if a, b := listing(t, from), listing(t, to); a != b {
		t.Errorf("the source is\n%.2000s\n\nand the copy\n%.2000s\nwant the same", a, b)
	}
	if res.Files != 310 || res.Links != 4 || res.Size != res.Sent || res.SHA256 != [32]byte{} {
		t.Errorf("got %+v, want 310 files and 4 symbolic links, all sent, and no checksum", res)
	}
	// Again: nothing is sent, and what is only there stays.
	write(t, filepath.Join(to, "mine"), []byte("mine"))
	again := mustCopy(t, from, to, Options{Times: true})
	if again.Sent != 0 || again.Files != res.Files || again.Size != res.Size {
		t.Errorf("copied again: got %+v, want that nothing is sent", again)
	}
	if b, err := os.ReadFile(filepath.Join(to, "mine")); err != nil || string(b) != "mine" {
		t.Errorf("a file that is only at the target has %q, %v; want that it stays", b, err)
	}
	// A change is all that is sent.
	write(t, filepath.Join(from, "d1/e1/1"), []byte("another"))
	if again := mustCopy(t, from, to, Options{}); again.Sent != int64(len("another")) {
		t.Errorf("after a change: got %+v, want that only the changed file is sent", again)
	}
}

// However long the names of what is skipped are, the copy tells some and ends well.
func TestManyAreSkipped(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "from", strings.Repeat("d", 200), strings.Repeat("e", 200))
	write(t, filepath.Join(from, "f"), noise(10))
	const many = 700
	for i := range many {
		makeFifo(t, filepath.Join(from, fmt.Sprint(strings.Repeat("p", 200), i)))
	}
	res := mustCopy(t, filepath.Join(dir, "from"), filepath.Join(dir, "to"), Options{})
	if n := len(res.Skipped); n < 100 || n >= many {
		t.Errorf("%d skipped entries are listed, want some of %d", n, many)
	}
}

func TestATreeInTheWayOfAnother(t *testing.T) {
	for what, c := range map[string]struct {
		make func(to string) error
		want error
	}{
		"a file where a directory goes": {func(to string) error { return os.WriteFile(filepath.Join(to, "d"), nil, 0o600) }, syscall.ENOTDIR},
		"a directory where a file goes": {func(to string) error { return os.MkdirAll(filepath.Join(to, "d/f"), 0o700) }, syscall.EISDIR},
		"a directory where a link goes": {func(to string) error { return os.MkdirAll(filepath.Join(to, "link"), 0o700) }, syscall.EISDIR},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			write(t, filepath.Join(from, "d/f"), []byte("x"))
			if err := os.Symlink("d", filepath.Join(from, "link")); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Mkdir(to, 0o700), c.make(to)); err != nil {
				t.Fatal(err)
			}
			_, _, err, getErr := copyOver(t, open(t, from), to, Options{}, -1)
			if !errors.Is(err, c.want) || !errors.Is(getErr, c.want) || !strings.Contains(err.Error(), to) {
				t.Errorf("got %v and %v, want %v with the name of the target", err, getErr, c.want)
			}
		})
	}
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	write(t, filepath.Join(from, "f"), []byte("x"))
	write(t, to, []byte("a file"))
	if _, _, err, _ := copyOver(t, open(t, from), to, Options{}, -1); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file where the tree goes: got %v, want ENOTDIR", err)
	}
}

func TestLimits(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	for i := range 10 {
		write(t, filepath.Join(from, "a/b/c", fmt.Sprint(i)), noise(1000))
	}
	for what, o := range map[string]Options{"entries": {MaxEntries: 9}, "bytes": {MaxBytes: 9999}, "depth": {MaxDepth: 2}} {
		a, b := newPipe(-1)
		done := make(chan error)
		go func() {
			_, err := receive(b, filepath.Join(dir, what), o, false)
			done <- err
		}()
		// The sender does not know of the limits.
		_, err := sendTree(a, open(t, from), Options{})
		if getErr := <-done; err == nil || !errors.Is(getErr, core.ErrTooLarge) && !errors.Is(getErr, core.ErrProtocol) {
			t.Errorf("%s: got %v and %v, want that it is too large or against the protocol", what, err, getErr)
		}
	}
}

// hostile plays a sender by hand.
func hostile(t *testing.T, target string, say func(w *wire.Writer)) error {
	t.Helper()
	a, b := newPipe(-1)
	done := make(chan error)
	go func() {
		_, err := receive(b, target, Options{}, false)
		b.Reset(errCut)
		done <- err
	}()
	go func() {
		var sink bytes.Buffer
		_, _ = sink.ReadFrom(a)
	}()
	w := wire.NewWriter(a)
	say(w)
	_ = w.Value(wire.RecEnd, &wire.Ending{})
	_ = w.Flush()
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("the receiver waits for more")
		return nil
	}
}

// TestAHostileSender sends what leads out of the target, or is too much.
func TestAHostileSender(t *testing.T) {
	content := func(w *wire.Writer) {
		_ = w.Record(wire.RecData, []byte("evil"))
		_ = w.Record(wire.RecFinish, noise(32))
	}
	root := wire.Entry{Kind: wire.KindDir, Mode: 0o755}
	file := func(path string) func(*wire.Writer) {
		return func(w *wire.Writer) {
			_ = w.Value(wire.RecEntry, &root)
			_ = w.Value(wire.RecEntry, &wire.Entry{Path: path, Size: 4, Mode: 0o644})
			content(w)
		}
	}
	through := func(link, path string) func(*wire.Writer) {
		return func(w *wire.Writer) {
			_ = w.Value(wire.RecEntry, &root)
			_ = w.Value(wire.RecEntry, &wire.Entry{Kind: wire.KindSymlink, Path: "link", Symlink: link})
			_ = w.Value(wire.RecEntry, &wire.Entry{Path: path, Size: 4, Mode: 0o644})
			content(w)
		}
	}
	first := func(e wire.Entry) func(*wire.Writer) {
		return func(w *wire.Writer) { _ = w.Value(wire.RecEntry, &e); content(w) }
	}
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	write(t, filepath.Join(outside, "x"), []byte("mine"))
	for what, say := range map[string]func(*wire.Writer){
		"parent":             file("../outside/x"),
		"parent within":      file("a/../../outside/x"),
		"absolute":           file(outside + "/x"),
		"dot":                file("./x"),
		"empty name":         file("a//x"),
		"NUL":                file("x\x00y"),
		"long name":          file(strings.Repeat("x", wire.MaxName+1)),
		"long path":          file(strings.Repeat("x/", 3000) + "x"),
		"through a link":     through(outside, "link/x"),
		"through a relative": through("../outside", "link/x"),
		"empty link":         through("", "y"),
		"no such kind":       first(wire.Entry{Kind: 9}),
		"a link at the top":  first(wire.Entry{Kind: wire.KindSymlink, Symlink: outside}),
		"negative size":      first(wire.Entry{Size: -2}),
		"too little":         first(wire.Entry{Size: 5}),
		"too much":           first(wire.Entry{Size: 3}),
		"wrong checksum":     first(wire.Entry{Size: 4}),
		"nothing at all":     func(*wire.Writer) {},
		"contents first":     content,
		"no record":          func(w *wire.Writer) { _ = w.Record('?', nil) },
		"a record too long":  func(w *wire.Writer) { _ = w.Record(wire.RecEntry, make([]byte, wire.MaxRecord+1)) },
		"not an entry":       func(w *wire.Writer) { _ = w.Record(wire.RecEntry, []byte("nonsense")) },
		"same unasked": func(w *wire.Writer) {
			_ = w.Value(wire.RecEntry, &wire.Entry{Size: 4})
			_ = w.Record(wire.RecSame, nil)
		},
		"resumed unasked": func(w *wire.Writer) {
			_ = w.Value(wire.RecEntry, &wire.Entry{Size: 1 << 21})
			_ = w.Number(wire.RecOffset, 1<<20)
		},
		"a hole beyond": func(w *wire.Writer) {
			_ = w.Value(wire.RecEntry, &wire.Entry{Size: 1 << 21})
			_ = w.Number(wire.RecHole, 1<<22)
		},
		"holes to be hashed": func(w *wire.Writer) {
			_ = w.Value(wire.RecEntry, &wire.Entry{Size: 1 << 50})
			_ = w.Number(wire.RecHole, 1<<49)
		},
		"the end too early": func(w *wire.Writer) { _ = w.Value(wire.RecEntry, &wire.Entry{Size: 4}) },
		"two tops":          func(w *wire.Writer) { _ = w.Value(wire.RecEntry, &root); _ = w.Value(wire.RecEntry, &root) },
		"below a file": func(w *wire.Writer) {
			_ = w.Value(wire.RecEntry, &wire.Entry{Size: 4})
			_ = w.Value(wire.RecEntry, &wire.Entry{Size: 4, Path: "x"})
		},
		"too many announced": func(w *wire.Writer) {
			_ = w.Value(wire.RecEntry, &root)
			for i := range announced + 1 {
				_ = w.Value(wire.RecEntry, &wire.Entry{Path: fmt.Sprint(i), Size: 4})
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			place := filepath.Join(dir, "place")
			if err := os.Mkdir(place, 0o700); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(place)
			if err := hostile(t, filepath.Join(place, "target"), say); err == nil {
				t.Error("the receiver took it, want an error")
			}
			if b, err := os.ReadFile(filepath.Join(outside, "x")); err != nil || string(b) != "mine" || len(names(t, outside)) != 1 || len(names(t, dir)) != 2 {
				t.Errorf("outside of the target there is %q, %v; want that nothing has changed", b, err)
			}
			for _, name := range names(t, place) {
				if info, err := os.Lstat(filepath.Join(place, name)); err != nil || !info.IsDir() {
					t.Errorf("%q is left, want directories only", name)
				}
			}
		})
	}
}

// TestLinksInTheWay has somebody else, at the receiver, put a link where the
// copy is about to write.
func TestLinksInTheWay(t *testing.T) {
	dir := t.TempDir()
	from, to, outside := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "outside")
	write(t, filepath.Join(from, "a/f"), noise(10))
	write(t, filepath.Join(from, "b/f"), noise(10))
	write(t, filepath.Join(to, "a/f"), noise(10))
	if err := errors.Join(os.Mkdir(outside, 0o700), os.Symlink(outside, filepath.Join(to, "b"))); err != nil {
		t.Fatal(err)
	}
	if _, _, err, _ := copyOver(t, open(t, from), to, Options{}, -1); err == nil {
		t.Error("a directory was replaced by a symbolic link meanwhile: got no error, want one")
	}
	if left := names(t, outside); len(left) != 0 {
		t.Errorf("%q was written outside of the target, want nothing", left)
	}
	// A link in the place of a file is replaced, and what it points to is not.
	write(t, filepath.Join(outside, "f"), []byte("mine"))
	target := filepath.Join(to, "f")
	if err := os.Symlink(filepath.Join(outside, "f"), target); err != nil {
		t.Fatal(err)
	}
	mustCopy(t, filepath.Join(from, "a/f"), target, Options{})
	if b, err := os.ReadFile(filepath.Join(outside, "f")); err != nil || string(b) != "mine" {
		t.Errorf("the file outside has %q, %v; want that it stays", b, err)
	}
}
