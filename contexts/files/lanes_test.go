package files_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
)

var bothCopies = map[string]func(context.Context, contexts.Target, string, string, *files.Options) (files.Result, error){
	"put": files.Put, "get": files.Get,
}

// children starts n contexts of a tree, and returns a function that kills the process of one.
func children(t *testing.T, self *contexts.Node, n int) (list []contexts.Target, kill func(i int)) {
	t.Helper()
	killers := make([]func(), n)
	for i := range n {
		c := child(t, self)
		list = append(list, c)
		p, err := pid.Call(t.Context(), c, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		killers[i] = sync.OnceFunc(func() {
			process, err := os.FindProcess(p)
			if err == nil {
				err = process.Kill()
			}
			if err != nil {
				t.Error(err)
			}
			<-c.Done()
		})
	}
	return list, func(i int) { killers[i]() }
}

// wantFile fails if a file does not have the content, or there are others beside it.
func wantFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, content) {
		t.Errorf("the target has %d bytes, %v; want the %d of the source", len(b), err, len(content))
	}
	wantAlone(t, path)
}

func wantAlone(t *testing.T, path string) {
	t.Helper()
	eventually(t, "nothing is left beside the target", func() bool {
		list, err := os.ReadDir(filepath.Dir(path))
		return err == nil && len(list) == 1
	})
}

func TestACopyOverSeveralConnections(t *testing.T) {
	on, _ := children(t, start(t, nil), 4)
	content := pattern(40<<20 + 12345)
	from := filepath.Join(t.TempDir(), "from")
	writeFile(t, from, content)
	for what, do := range bothCopies {
		to := filepath.Join(t.TempDir(), "to")
		o := files.Options{Over: on[1:]}
		res, err := do(t.Context(), on[0], from, to, &o)
		if err != nil || res.SHA256 != sha256.Sum256(content) || res.Sent != int64(len(content)) {
			t.Fatalf("%s: got %+v, %v; want %d bytes with the checksum of the source", what, res, err, len(content))
		}
		wantFile(t, to, content)
		if res, err = do(t.Context(), on[0], from, to, &o); err != nil || res.Sent != 0 {
			t.Errorf("%s again: got %+v, %v; want that nothing is sent", what, res, err)
		}
		writeFile(t, to, []byte("old"))
		o.Overwrite = files.InPlace
		if _, err = do(t.Context(), on[0], from, to, &o); err != nil {
			t.Errorf("%s in place: %v, want no error", what, err)
		}
		wantFile(t, to, content)
	}
}

// Trees and readers have a large file somewhere.
func TestTreesAndReadersOverSeveralConnections(t *testing.T) {
	on, _ := children(t, start(t, nil), 3)
	tree := t.TempDir()
	large := pattern(9 << 20)
	writeFile(t, filepath.Join(tree, "large"), large)
	for i := range 300 {
		writeFile(t, filepath.Join(tree, fmt.Sprint("small", i)), large[i:i*100])
	}
	o := files.Options{Over: on[1:]}
	for what, do := range bothCopies {
		to := filepath.Join(t.TempDir(), "to")
		if res, err := do(t.Context(), on[0], tree, to, &o); err != nil || res.Files != 301 {
			t.Fatalf("%s: got %+v, %v; want 301 files", what, res, err)
		}
		if b, err := os.ReadFile(filepath.Join(to, "large")); err != nil || !bytes.Equal(b, large) {
			t.Errorf("%s: the large file has %d bytes, %v; want those of the source", what, len(b), err)
		}
	}
	to := filepath.Join(t.TempDir(), "to")
	if _, err := files.PutReader(t.Context(), on[0], bytes.NewReader(large), to, &o); err != nil {
		t.Fatal(err)
	}
	wantFile(t, to, large)
	if _, err := files.PutReader(t.Context(), on[0], io.MultiReader(bytes.NewReader(large), failingReader{}), to, &o); !errors.Is(err, errReader) {
		t.Errorf("a reader that fails: got %v, want its error", err)
	}
	wantFile(t, to, large)
}

// A connection that ends leaves its part to the others, at any time.
func TestConnectionsOfACopyEnd(t *testing.T) {
	content := pattern(12 << 20)
	from := filepath.Join(t.TempDir(), "from")
	writeFile(t, from, content)
	self := start(t, nil)
	on, _ := children(t, self, 1)
	for what, do := range bothCopies {
		for i := range faultPoints() {
			over, kill := children(t, self, 2)
			to := filepath.Join(t.TempDir(), "to")
			_, err := do(t.Context(), on[0], from, to, &files.Options{Over: over, Progress: func(p files.Progress) {
				if p.Bytes >= int64(len(content)*i/faultPoints()) {
					kill(0)
				}
				if p.Bytes >= int64(len(content)*(i+2)/faultPoints()) {
					kill(1)
				}
			}})
			if err != nil {
				t.Errorf("%s at point %d: %v, want no error", what, i, err)
			}
			wantFile(t, to, content)
		}
	}
}

// The copy ends with the context that is its target. All contents of a get may have come
// before, but the error says that the other end does not know.
func TestTheTargetOfASpreadCopyEnds(t *testing.T) {
	content := pattern(12 << 20)
	from := filepath.Join(t.TempDir(), "from")
	writeFile(t, from, content)
	self := start(t, nil)
	over, _ := children(t, self, 2)
	for what, do := range bothCopies {
		for i := range faultPoints() {
			on, kill := children(t, self, 1)
			to := filepath.Join(t.TempDir(), "to")
			writeFile(t, to, []byte("old"))
			_, err := do(t.Context(), on[0], from, to, &files.Options{Over: over, Progress: func(p files.Progress) {
				if p.Bytes >= int64(len(content)*i/faultPoints()) {
					kill(0)
				}
			}})
			if !errors.Is(err, contexts.ErrGone) {
				t.Errorf("%s at point %d: got %v, want that the context is gone", what, i, err)
			}
			want := []byte("old")
			if info, err := os.Stat(to); what == "get" && err == nil && info.Size() != int64(len(want)) {
				want = content
			}
			wantFile(t, to, want)
		}
	}
}

func TestASpreadCopyResumes(t *testing.T) {
	self := start(t, nil)
	content := pattern(24 << 20)
	from := filepath.Join(t.TempDir(), "from")
	writeFile(t, from, content)
	for what, do := range bothCopies {
		on, kill := children(t, self, 5)
		to := filepath.Join(t.TempDir(), "to")
		o := files.Options{Over: on[1:2], Resume: true, Progress: func(p files.Progress) {
			if p.Bytes > 20<<20 {
				kill(0)
			}
		}}
		if _, err := do(t.Context(), on[0], from, to, &o); !errors.Is(err, contexts.ErrGone) {
			t.Fatalf("%s: got %v, want that the context is gone", what, err)
		}
		eventually(t, "the part is kept and unlocked", func() bool {
			o := files.Options{Over: on[3:], Resume: true}
			res, err := do(t.Context(), on[2], from, to, &o)
			if err != nil {
				t.Fatal(err)
			}
			if res.Sent < int64(len(content)) {
				return true
			}
			return os.Remove(to) != nil
		})
		wantFile(t, to, content)
	}
}

func TestASpreadCopyIsCancelled(t *testing.T) {
	content := pattern(24 << 20)
	from := filepath.Join(t.TempDir(), "from")
	writeFile(t, from, content)
	on, _ := children(t, start(t, nil), 3)
	for what, do := range bothCopies {
		to := filepath.Join(t.TempDir(), "to")
		writeFile(t, to, []byte("old"))
		ctx, cancel := context.WithCancel(t.Context())
		_, err := do(ctx, on[0], from, to, &files.Options{Over: on[1:], Progress: func(p files.Progress) {
			if p.Bytes > 5<<20 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", what, err)
		}
		wantFile(t, to, []byte("old"))
	}
}

func TestTargetsOverWhichNoCopyGoes(t *testing.T) {
	on, kill := children(t, start(t, nil), 3)
	content := pattern(5 << 20)
	from := filepath.Join(t.TempDir(), "from")
	writeFile(t, from, content)
	to := filepath.Join(t.TempDir(), "to")
	writeFile(t, to, []byte("old"))
	for what, over := range map[string][]contexts.Target{
		"nil":        {nil},
		"too many":   make([]contexts.Target, 33),
		"not a node": {contexts.NewChain(on[1].(*contexts.Node))},
	} {
		if _, err := files.Put(t.Context(), on[0], from, to, &files.Options{Over: over}); err == nil || !strings.Contains(err.Error(), on[0].String()) {
			t.Errorf("%s: got %v, want an error with the target", what, err)
		}
	}
	for _, r := range files.PutAll(t.Context(), on[:1], from, to, &files.Options{Over: on[1:]}) {
		if r.Err == nil {
			t.Error("PutAll: no error, want that it takes no Over")
		}
	}
	wantFile(t, to, []byte("old"))
	// One that has ended before is no error, as it could as well have ended a moment later.
	kill(1)
	if _, err := files.Put(t.Context(), on[0], from, to, &files.Options{Over: on[1:]}); err != nil {
		t.Errorf("with a context that has ended: %v, want no error", err)
	}
	wantFile(t, to, content)
	// Errors of the copy itself come as without further connections.
	if _, err := files.Get(t.Context(), on[0], from+"/none", to, &files.Options{Over: on[1:]}); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("get of nothing: got %v, want an error with the name", err)
	}
	if _, err := files.Put(t.Context(), on[0], from, from+"/none", &files.Options{Over: on[1:]}); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("put to nowhere: got %v, want an error with the name", err)
	}
}
