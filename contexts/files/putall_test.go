package files_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
)

// workIn gives a context a working directory of its own, so that several on one
// host can get different files under one name.
var workIn = contexts.NewFunc("test.workin", func(_ context.Context, dir string) (struct{}, error) {
	return struct{}{}, os.Chdir(dir)
})

func linkBytes(t *testing.T, self *contexts.Node) map[string]uint64 {
	t.Helper()
	tree, err := self.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := make(map[string]uint64)
	for _, i := range tree {
		sent[fmt.Sprint(i.ID)] = i.BytesSent
	}
	return sent
}

func TestPutAllCrossesEachLinkOnce(t *testing.T) {
	self := start(t, nil)
	hop := child(t, self)
	below := child(t, hop)
	nodes := []*contexts.Node{self, hop, child(t, hop), below, child(t, below), child(t, below), child(t, self)}
	var dirs []string
	from := filepath.Join(t.TempDir(), "from")
	content := pattern(8<<20 + 3)
	writeFile(t, from, content)
	for _, n := range nodes[1:] {
		dir := t.TempDir()
		dirs = append(dirs, dir)
		if _, err := workIn.Call(t.Context(), n, dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(t.TempDir())
	dirs = append([]string{"."}, dirs...)
	for round, wantSent := range []int64{int64(len(content)), 0} {
		before := linkBytes(t, self)
		for i, r := range files.PutAll(t.Context(), nodes, from, "target", nil) {
			if r.Err != nil || r.Value.Sent != wantSent || r.Value.SHA256 != sha256.Sum256(content) || r.Value.Source != from {
				t.Errorf("%v: got %+v, %v; want a copy of %s of which %d bytes were sent", nodes[i], r.Value, r.Err, from, wantSent)
			}
			if b, err := os.ReadFile(filepath.Join(dirs[i], "target")); err != nil || !bytes.Equal(b, content) {
				t.Errorf("%v: the target has %d bytes, %v; want the %d of the source", nodes[i], len(b), err, len(content))
			}
		}
		after := linkBytes(t, self)
		for id, n := range after {
			if sent := int64(n - before[id]); sent > wantSent+wantSent/10+100_000 {
				t.Errorf("round %d: %d bytes went to context %s, want each byte once over each link", round, sent, id)
			}
		}
	}
}

func TestPutAllFailsForSome(t *testing.T) {
	self := start(t, nil)
	hop := child(t, self)
	good, bad, gone := child(t, hop), child(t, hop), child(t, hop)
	dir, badDir := t.TempDir(), t.TempDir()
	for n, d := range map[*contexts.Node]string{hop: t.TempDir(), good: dir, bad: badDir} {
		if _, err := workIn.Call(t.Context(), n, d); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(badDir, "target"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	from := filepath.Join(t.TempDir(), "from")
	writeFile(t, from, pattern(3<<20))
	nodes := []*contexts.Node{bad, gone, good, hop, good}
	results := files.PutAll(t.Context(), nodes, from, "target", nil)
	for i, wantOK := range []bool{false, false, true, true, true} {
		if (results[i].Err == nil) != wantOK {
			t.Errorf("%v: got %v, want success: %v", nodes[i], results[i].Err, wantOK)
		}
		if e, ok := errors.AsType[*contexts.Error](results[i].Err); !wantOK && (!ok || e.Path != nodes[i].String()) {
			t.Errorf("%v: got %v, want a *contexts.Error with its path", nodes[i], results[i].Err)
		}
	}
	if !errors.Is(results[0].Err, syscall.EISDIR) {
		t.Error(results[0].Err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "target")); err != nil || !bytes.Equal(b, pattern(3<<20)) {
		t.Errorf("the good target has %d bytes, %v; want %d", len(b), err, 3<<20)
	}
	if list, err := os.ReadDir(badDir); err != nil || len(list) != 1 {
		t.Errorf("the bad directory has %v, %v; want one entry as before", list, err)
	}
	for what, c := range map[string]struct {
		name string
		want error
	}{"no source": {from + ".none", fs.ErrNotExist}, "a directory": {dir, syscall.EISDIR}} {
		for _, r := range files.PutAll(t.Context(), nodes, c.name, "target", nil) {
			if !errors.Is(r.Err, c.want) {
				t.Errorf("%s: got %v, want %v", what, r.Err, c.want)
			}
		}
	}
	for what, n := range map[string]*contexts.Node{"nobody": nil, "of another tree": child(t, start(t, nil)), "of no tree": {}} {
		for _, some := range [][]*contexts.Node{{n, good}, {good, n}} {
			for _, r := range files.PutAll(t.Context(), some, from, "target", nil) {
				if r.Err == nil {
					t.Errorf("a node %s among the targets: got no error, want one", what)
				}
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := &files.Options{Progress: func(files.Progress) { cancel() }}
	for _, r := range files.PutAll(ctx, nodes[2:], from, "another", o) {
		if !errors.Is(r.Err, context.Canceled) {
			t.Errorf("cancelled: got %v, want context.Canceled", r.Err)
		}
	}
}

// What is written in place at many contexts is told of each.
func TestPutAllInPlace(t *testing.T) {
	self := start(t, nil)
	hop := child(t, self)
	nodes := []*contexts.Node{hop, child(t, hop), child(t, hop)}
	for _, size := range []int{10, 3 << 20} {
		from := filepath.Join(t.TempDir(), "from")
		writeFile(t, from, pattern(size))
		var dirs []string
		for _, n := range nodes {
			dir := t.TempDir()
			dirs = append(dirs, dir)
			writeFile(t, filepath.Join(dir, "target"), []byte("old"))
			if err := os.Link(filepath.Join(dir, "target"), filepath.Join(dir, "other")); err != nil {
				t.Fatal(err)
			}
			if _, err := workIn.Call(t.Context(), n, dir); err != nil {
				t.Fatal(err)
			}
		}
		for i, r := range files.PutAll(t.Context(), nodes, from, "target", &files.Options{Overwrite: files.InPlace}) {
			if r.Err != nil || r.Value.SHA256 != sha256.Sum256(pattern(size)) {
				t.Errorf("%v: got %+v, %v; want the checksum of %d bytes", nodes[i], r.Value, r.Err, size)
			}
			if b, err := os.ReadFile(filepath.Join(dirs[i], "other")); err != nil || !bytes.Equal(b, pattern(size)) {
				t.Errorf("%v: by its other name the file has %d bytes, %v; want the %d of the source", nodes[i], len(b), err, size)
			}
		}
	}
}
