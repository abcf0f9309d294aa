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

func TestPutAndGet(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	for _, n := range []*contexts.Node{self, b} {
		dir := t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		content := pattern(3<<20 + 7)
		writeFile(t, at("a"), content)
		put, err := files.Put(t.Context(), n, at("a"), at("b"), nil)
		if err != nil || put.Source != at("a") || put.Target != at("b") || put.Size != int64(len(content)) || put.SHA256 != sha256.Sum256(content) {
			t.Fatalf("put: got %+v, %v; want %d bytes from a to b and their checksum", put, err, len(content))
		}
		got, err := files.Get(t.Context(), n, at("b"), at("c"), &files.Options{Mode: 0o600})
		if err != nil || got.Source != at("b") || got.Target != at("c") || got.SHA256 != put.SHA256 {
			t.Fatalf("get: got %+v, %v; want a copy from b to c with the checksum of the source", got, err)
		}
		if b, err := os.ReadFile(at("c")); err != nil || !bytes.Equal(b, content) {
			t.Errorf("%d bytes came back, %v; want the %d of the source", len(b), err, len(content))
		}
		if again, err := files.Get(t.Context(), n, at("b"), at("c"), nil); err != nil || again.Sent != 0 {
			t.Errorf("getting the same file again: got %+v, %v; want that nothing is sent", again, err)
		}
		read, err := files.PutReader(t.Context(), n, strings.NewReader("from a reader"), at("d"), nil)
		if err != nil || read.Size != 13 {
			t.Errorf("put of a reader: got %+v, %v; want 13 bytes", read, err)
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) != 4 {
			t.Errorf("the directory has %v, %v; want four files", list, err)
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
			t.Errorf("%s: got %v, want %v with the path of the context and the name", what, err, want)
		}
	}
	_, err := files.Put(t.Context(), b, at("none"), at("x"), nil)
	check("put of nothing", "none", err, fs.ErrNotExist)
	_, err = files.Put(t.Context(), b, at("a"), at("none/x"), nil)
	check("put to nowhere", "none/x", err, fs.ErrNotExist)
	_, err = files.Put(t.Context(), b, at("a"), at("a"), &files.Options{NoReplace: true})
	check("put over a file", "a", err, fs.ErrExist)
	_, err = files.Get(t.Context(), b, at("none"), at("x"), nil)
	check("get of nothing", "none", err, fs.ErrNotExist)
	_, err = files.Get(t.Context(), b, at("a"), at("none/x"), nil)
	check("get to nowhere", "none/x", err, fs.ErrNotExist)
	_, err = files.PutReader(t.Context(), b, failingReader{}, at("x"), nil)
	if !errors.Is(err, errReader) {
		t.Errorf("a reader that fails: got %v, want its error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = files.PutReader(ctx, b, readerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }), at("x"), nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want context.Canceled", err)
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
