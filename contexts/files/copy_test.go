package files_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
)

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
}

// pattern returns bytes that differ from block to block.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>11) ^ byte(i>>19)
	}
	return b
}

func TestPutAndFetch(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	for _, n := range []*contexts.Node{self, b} {
		dir := t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		content := pattern(3<<20 + 7)
		writeFile(t, at("a"), content)
		put, err := files.Put(t.Context(), n, at("a"), at("b"), nil)
		if err != nil || put.Source != at("a") || put.Target != at("b") || put.Size != int64(len(content)) || put.SHA256 != sha256.Sum256(content) {
			t.Fatalf("%+v, %v", put, err)
		}
		got, err := files.Get(t.Context(), n, at("b"), at("c"), &files.Options{Mode: 0o600})
		if err != nil || got.Source != at("b") || got.Target != at("c") || got.SHA256 != put.SHA256 {
			t.Fatalf("%+v, %v", got, err)
		}
		if b, err := os.ReadFile(at("c")); err != nil || !bytes.Equal(b, content) {
			t.Errorf("%d bytes came back, %v", len(b), err)
		}
		if again, err := files.Get(t.Context(), n, at("b"), at("c"), nil); err != nil || again.Sent != 0 {
			t.Errorf("sent again: %+v, %v", again, err)
		}
		read, err := files.PutReader(t.Context(), n, strings.NewReader("from a reader"), at("d"), nil)
		if err != nil || read.Size != 13 {
			t.Errorf("%+v, %v", read, err)
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) != 4 {
			t.Errorf("there is %v, %v", list, err)
		}
	}
}

func TestErrorsOfCopies(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, at("a"), []byte("content"))
	check := func(what, name string, err, want error) {
		t.Helper()
		e, ok := errors.AsType[*contexts.Error](err)
		if !ok || e.Path != b.String() || !errors.Is(err, want) || !strings.Contains(err.Error(), at(name)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := files.Put(t.Context(), b, at("none"), at("x"), nil)
	check("put of nothing", "none", err, fs.ErrNotExist)
	_, err = files.Put(t.Context(), b, at("a"), at("none/x"), nil)
	check("put to nowhere", "none/x", err, fs.ErrNotExist)
	_, err = files.Put(t.Context(), b, at("a"), at("a"), &files.Options{NoReplace: true})
	check("put over a file", "a", err, fs.ErrExist)
	_, err = files.Get(t.Context(), b, at("none"), at("x"), nil)
	check("fetch of nothing", "none", err, fs.ErrNotExist)
	_, err = files.Get(t.Context(), b, at("a"), at("none/x"), nil)
	check("fetch to nowhere", "none/x", err, fs.ErrNotExist)
	_, err = files.PutReader(t.Context(), b, failingReader{}, at("x"), nil)
	if !errors.Is(err, errReader) {
		t.Errorf("a reader that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = files.PutReader(ctx, b, readerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }), at("x"), nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	eventually(t, "all that was begun is removed", func() bool {
		list, err := os.ReadDir(dir)
		return err == nil && len(list) == 1
	})
}

var errReader = errors.New("the reader fails")

type failingReader struct{}

func (failingReader) Read(b []byte) (int, error) { return min(len(b), 100), errReader }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
