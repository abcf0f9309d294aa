package files_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
)

// faultPoints is at how many points of a copy a context dies.
func faultPoints() int {
	if testing.Short() {
		return 4
	}
	return 10
}

// TestAContextDiesDuringACopy kills the context at the other end of a copy, at
// different blocks of it: of a put that is the receiver, of a get the
// sender. The error is that of a link, the target the old file, nothing is
// left, and the next context resumes. (Another test cuts the connection at 200
// points of a copy.)
func TestAContextDiesDuringACopy(t *testing.T) {
	self := start(t, nil)
	content := pattern(8 << 20)
	sum := sha256.Sum256(content)
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	writeFile(t, from, content)
	copies := map[string]func(context.Context, contexts.Target, string, string, *files.Options) (files.Result, error){
		"put": files.Put, "get": files.Get,
	}
	for i := range faultPoints() {
		for what, do := range copies {
			for _, resume := range []bool{false, true} {
				t.Run(fmt.Sprint(what, i, resume), func(t *testing.T) {
					place := t.TempDir()
					to := filepath.Join(place, "to")
					writeFile(t, to, []byte("old"))
					n := child(t, self)
					p, err := pid.Call(t.Context(), n, struct{}{})
					if err != nil {
						t.Fatal(err)
					}
					kill := sync.OnceFunc(func() {
						process, err := os.FindProcess(p)
						if err == nil {
							err = process.Kill()
						}
						if err != nil {
							t.Error(err)
						}
						<-n.Done()
					})
					o := files.Options{Resume: resume}
					o.Progress = func(p files.Progress) {
						if p.Bytes >= int64(i)<<18 {
							kill()
						}
					}
					_, err = do(t.Context(), n, from, to, &o)
					if !errors.Is(err, contexts.ErrGone) {
						t.Errorf("got %v, want that the context is gone", err)
					}
					if b, err := os.ReadFile(to); err != nil || string(b) != "old" {
						t.Errorf("the target has %d bytes, %v; want the old contents", len(b), err)
					}
					left := func() (names []string) {
						list, err := os.ReadDir(place)
						if err != nil {
							t.Fatal(err)
						}
						for _, e := range list {
							if e.Name() != "to" {
								names = append(names, e.Name())
							}
						}
						return names
					}
					if names := left(); len(names) > 1 || len(names) == 1 && (!resume || !strings.Contains(names[0], "partial")) {
						t.Errorf("the directory has %q, want nothing but a partial file, and that only with Resume (%v)", names, resume)
					}
					kept := false
					for _, name := range left() {
						info, err := os.Stat(filepath.Join(place, name))
						kept = err == nil && info.Size() > 0
					}
					o.Progress = nil
					res, err := do(t.Context(), child(t, self), from, to, &o)
					if err != nil || res.SHA256 != sum || kept && res.Sent >= res.Size {
						t.Errorf("the next copy: got %+v, %v; want all contents, and fewer sent if a part was kept (%v)", res, err, kept)
					}
					if b, err := os.ReadFile(to); err != nil || !bytes.Equal(b, content) || len(left()) != 0 {
						t.Errorf("the target has %d bytes, %v, and beside it is %q; want the %d of the source and nothing", len(b), err, left(), len(content))
					}
				})
			}
		}
	}
}

// TestTreesWithOddNames goes through real contexts, where names are part of
// CBOR messages.
func TestTreesWithOddNames(t *testing.T) {
	self := start(t, nil)
	n := child(t, child(t, self))
	dir := t.TempDir()
	names := []string{"new\nline", "not UTF-8: \xff\xfe", "-rf", "\x01\x1b[2J"}
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(dir, "from", name), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "from", name, name), []byte(name))
		if err := os.Symlink(name, filepath.Join(dir, "from", name, "link")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := files.Put(t.Context(), n, filepath.Join(dir, "from"), filepath.Join(dir, "there\xff"), nil); err != nil {
		t.Fatal(err)
	}
	res, err := files.Get(t.Context(), n, filepath.Join(dir, "there\xff"), filepath.Join(dir, "back"), nil)
	if err != nil || res.Files != len(names) || res.Links != len(names) || res.Dirs != len(names)+1 || res.Source != filepath.Join(dir, "there\xff") {
		t.Fatalf("got %+v, %v; want %d files and symbolic links, and one directory more", res, err, len(names))
	}
	for _, name := range names {
		if b, err := os.ReadFile(filepath.Join(dir, "back", name, "link")); err != nil || string(b) != name {
			t.Errorf("%q: its symbolic link leads to %q, %v; want the file of that name", name, b, err)
		}
	}
	if _, err := files.Get(t.Context(), n, "no\xffsuch", filepath.Join(dir, "x"), nil); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "no\xffsuch") {
		t.Errorf("got %v, want fs.ErrNotExist with the name as it is", err)
	}
}
