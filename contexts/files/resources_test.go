package files_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
)

var (
	readResource = contexts.NewFunc("test.resource", func(ctx context.Context, name string) ([]byte, error) {
		return fs.ReadFile(files.Resources(ctx), name)
	})
	testResources = contexts.NewFunc("test.resources", func(ctx context.Context, names []string) (struct{}, error) {
		return struct{}{}, fstest.TestFS(files.Resources(ctx), names...)
	})
)

// countingFS counts how often each file is opened.
type countingFS struct {
	fs.FS
	mu    sync.Mutex
	count map[string]int
}

func (c *countingFS) Open(name string) (fs.File, error) {
	c.mu.Lock()
	c.count[name]++
	c.mu.Unlock()
	return c.FS.Open(name)
}

func TestResources(t *testing.T) {
	served := &countingFS{count: map[string]int{}, FS: fstest.MapFS{
		"a": {Data: []byte("alpha")}, "d/b": {Data: pattern(1 << 20)}, "large": {Data: make([]byte, 16<<20+1)},
	}}
	for i := range 5 {
		served.FS.(fstest.MapFS)[fmt.Sprint("part", i)] = &fstest.MapFile{Data: make([]byte, 5<<20)}
	}
	self := start(t, nil)
	if err := files.Serve(self, served); err != nil {
		t.Fatal(err)
	}
	a := child(t, self)
	b, c := child(t, a), child(t, a)
	// Many ask at once, on both sides of the hop in between.
	var calls []*contexts.Pending[[]byte]
	for range 20 {
		calls = append(calls, readResource.Go(t.Context(), b, "d/b"), readResource.Go(t.Context(), c, "d/b"))
	}
	for _, p := range calls {
		if got, err := p.Wait(); err != nil || !slices.Equal(got, pattern(1<<20)) {
			t.Errorf("got %d bytes, %v; want the %d that are served", len(got), err, 1<<20)
		}
	}
	if n := served.count["d/b"]; n != 1 {
		t.Errorf("the master has read the file %d times, want once", n)
	}
	if got, err := readResource.Call(t.Context(), self, "a"); err != nil || string(got) != "alpha" {
		t.Errorf("in the master: got %q, %v; want the file", got, err)
	}
	for name, want := range map[string]error{
		"none": fs.ErrNotExist, "../a": fs.ErrInvalid, "/etc/passwd": fs.ErrInvalid, "large": contexts.ErrTooLarge,
	} {
		if _, err := readResource.Call(t.Context(), b, name); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	// What is kept is bounded: the oldest goes.
	for i := range 5 {
		if _, err := readResource.Call(t.Context(), b, fmt.Sprint("part", i)); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"part0", "part4"} {
		if _, err := readResource.Call(t.Context(), c, name); err != nil {
			t.Error(err)
		}
	}
	if served.count["part0"] != 2 || served.count["part4"] != 1 {
		t.Errorf("want that the oldest file was read twice and the newest once, got %v", served.count)
	}
}

func TestResourcesAreAnFS(t *testing.T) {
	self := start(t, nil)
	if err := files.Serve(self, fstest.MapFS{"a": {Data: []byte("alpha")}, "d/e/f": {Data: []byte("f")}}); err != nil {
		t.Fatal(err)
	}
	b := child(t, child(t, self))
	if _, err := testResources.Call(t.Context(), b, []string{"a", "d/e/f"}); err != nil {
		t.Error(err)
	}
}

// serve has a context serve files, which only a master may.
var serve = contexts.NewFunc("test.serve", func(ctx context.Context, _ struct{}) (struct{}, error) {
	return struct{}{}, files.Serve(contexts.Self(ctx), fstest.MapFS{})
})

func TestWhoMayServe(t *testing.T) {
	self, other := start(t, nil), start(t, nil)
	b := child(t, self)
	if _, err := serve.Call(t.Context(), b, struct{}{}); !errors.Is(err, contexts.ErrRefused) {
		t.Errorf("a child serves files: got %v, want ErrRefused", err)
	}
	for what, n := range map[string]*contexts.Node{"another context": b, "no node": nil, "no tree": {}} {
		if err := files.Serve(n, fstest.MapFS{}); !errors.Is(err, contexts.ErrRefused) {
			t.Errorf("serving files for %s: got %v, want ErrRefused", what, err)
		}
	}
	served := fstest.MapFS{"a": {Data: []byte("alpha")}}
	if err := files.Serve(self, served); err != nil {
		t.Fatal(err)
	}
	if err := files.Serve(self, served); !errors.Is(err, fs.ErrExist) {
		t.Errorf("serving files a second time: got %v, want fs.ErrExist", err)
	}
	if got, err := readResource.Call(t.Context(), b, "a"); err != nil || string(got) != "alpha" {
		t.Errorf("a child reads %q, %v; want the file", got, err)
	}
	if _, err := readResource.Call(t.Context(), child(t, other), "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in another tree: got %v, want fs.ErrNotExist", err)
	}
}

func TestNothingIsServedByDefault(t *testing.T) {
	self := start(t, nil)
	b := child(t, self)
	name := os.Args[0][1:]
	if _, err := readResource.Call(t.Context(), b, name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}
