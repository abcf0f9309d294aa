package files_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

// manager is a node or a managed host, with hops of its own.
type manager interface {
	Manage(m connect.Method, cfg *contexts.ManagedHostConfig) *contexts.ManagedHost
}

// managed returns a managed host on this machine, which is not connected yet. It fails at
// once while it is away.
func managed(t *testing.T, of manager, m connect.Method) *contexts.ManagedHost {
	t.Helper()
	h := of.Manage(m, &contexts.ManagedHostConfig{Wait: -1})
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("closing %v: %v", h, err)
		}
	})
	return h
}

// unreachable is a hop that always fails.
var unreachable = local.Exec{Argv: []string{"false", local.PlaceArgv}}

// workInNew gives a target a working directory of its own, which it returns.
func workInNew(t *testing.T, on contexts.Target) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := workIn.Call(t.Context(), on, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func checkContent(t *testing.T, on any, name string, want []byte) {
	t.Helper()
	if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, want) {
		t.Errorf("%v: %s has %d bytes, %v; want the %d of the source", on, name, len(b), err, len(want))
	}
}

// A list of managed hosts, some below others, is connected and gets the file. One that
// can't be reached fails alone, and results are in the order of the targets.
func TestPutAllToManagedHosts(t *testing.T) {
	self := start(t, nil)
	first, second, away := managed(t, self, local.Child{}), managed(t, self, local.Child{}), managed(t, self, unreachable)
	below := managed(t, first, local.Child{})
	hosts := []*contexts.ManagedHost{away, below, second, away, first}
	content := pattern(1<<20 + 5)
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	writeFile(t, from, content)
	check := func(results []contexts.Result[files.Result]) {
		t.Helper()
		if len(results) != len(hosts) {
			t.Fatalf("%d results, want one for each of %d targets", len(results), len(hosts))
		}
		for i, r := range results {
			if hosts[i] != away {
				if r.Err != nil || r.Value.Target == "" || r.Value.Size != int64(len(content)) {
					t.Errorf("%v: got %+v, %v; want a copy of %d bytes", hosts[i], r.Value, r.Err, len(content))
				}
				continue
			}
			e, ok := errors.AsType[*contexts.Error](r.Err)
			if !ok || e.Op != "put" || e.Path != away.String() || r.Value.Target != "" {
				t.Errorf("%v: got %+v, %v; want an error of the put that names the host", hosts[i], r.Value, r.Err)
			}
		}
	}
	// All are on one machine: one file, made by the one and found by the others.
	check(files.PutAll(t.Context(), hosts, from, to, nil))
	checkContent(t, "all", to, content)
	dirs := map[*contexts.ManagedHost]string{}
	for _, h := range []*contexts.ManagedHost{first, second, below} {
		dirs[h] = workInNew(t, h)
	}
	results := files.PutAll(t.Context(), hosts, from, "to", nil)
	check(results)
	for i, h := range hosts {
		if h == away {
			continue
		}
		name := filepath.Join(dirs[h], "to")
		checkContent(t, h, name, content)
		if results[i].Value.Target != name {
			t.Errorf("result %d is about %q, want %q", i, results[i].Value.Target, name)
		}
	}
}

// Nodes and managed hosts can be mixed; a nil is an error of its own.
func TestPutAllToAnyTargets(t *testing.T) {
	self := start(t, nil)
	node, host := child(t, self), managed(t, self, local.Child{})
	content := pattern(100)
	from := filepath.Join(t.TempDir(), "from")
	writeFile(t, from, content)
	targets := []contexts.Target{nil, host, node}
	hostDir, nodeDir := workInNew(t, host), workInNew(t, node)
	results := files.PutAll(t.Context(), targets, from, "to", nil)
	if len(results) != 3 || results[0].Err == nil || results[1].Err != nil || results[2].Err != nil {
		t.Fatalf("got %+v; want an error for nil only", results)
	}
	checkContent(t, host, filepath.Join(hostDir, "to"), content)
	checkContent(t, node, filepath.Join(nodeDir, "to"), content)
	if _, err := files.Put(t.Context(), nil, from, "to", nil); err == nil {
		t.Error("put to a nil target: no error")
	}
	if _, err := files.FS(t.Context(), nil).Stat("."); err == nil {
		t.Error("the file system of a nil target: no error")
	}
}

// With no targets there is nothing to be done, and nothing to be read.
func TestPutAllToNobody(t *testing.T) {
	if r := files.PutAll(t.Context(), []*contexts.Node{}, "there is no such file", "to", nil); len(r) != 0 {
		t.Errorf("no nodes: got %+v, want no results", r)
	}
	if r := files.PutAll[*contexts.ManagedHost](t.Context(), nil, "there is no such file", "to", nil); len(r) != 0 {
		t.Errorf("nil for managed hosts: got %+v, want no results", r)
	}
	// All hosts are away.
	self := start(t, nil)
	from := filepath.Join(t.TempDir(), "from")
	writeFile(t, from, nil)
	away := managed(t, self, unreachable)
	for i, r := range files.PutAll(t.Context(), []*contexts.ManagedHost{away, away}, from, "to", nil) {
		if r.Err == nil {
			t.Errorf("target %d can't be reached: want an error, got %+v", i, r.Value)
		}
	}
}

// Each operation on a managed host whose connection was lost connects it again.
func TestALostManagedHostComesBack(t *testing.T) {
	self := start(t, nil)
	dir := t.TempDir()
	from, there := filepath.Join(dir, "from"), filepath.Join(dir, "there")
	content := pattern(200_000)
	writeFile(t, from, content)
	writeFile(t, there, content)
	// A host that is lost again and again would be given longer and longer pauses.
	h := self.Manage(local.Child{}, &contexts.ManagedHostConfig{MaxDelay: 10 * time.Millisecond})
	defer h.Close()
	to := func(t *testing.T) string { return filepath.Join(t.TempDir(), "to") }
	fromRoot, err := filepath.Rel("/", there)
	if err != nil {
		t.Skip(err) // on Windows names begin at a drive
	}
	for name, use := range map[string]func(t *testing.T) error{
		"Put": func(t *testing.T) error {
			to := to(t)
			_, err := files.Put(t.Context(), h, from, to, nil)
			checkContent(t, h, to, content)
			return err
		},
		"PutReader": func(t *testing.T) error {
			to := to(t)
			_, err := files.PutReader(t.Context(), h, bytes.NewReader(content), to, nil)
			checkContent(t, h, to, content)
			return err
		},
		"Get": func(t *testing.T) error {
			to := to(t)
			_, err := files.Get(t.Context(), h, there, to, nil)
			checkContent(t, h, to, content)
			return err
		},
		"PutAll": func(t *testing.T) error {
			to := to(t)
			err := files.PutAll(t.Context(), []*contexts.ManagedHost{h}, from, to, nil)[0].Err
			checkContent(t, h, to, content)
			return err
		},
		"FS": func(t *testing.T) error {
			b, err := files.FS(t.Context(), h).ReadFile(fromRoot)
			if err == nil && !bytes.Equal(b, content) {
				t.Errorf("read %d bytes, want %d", len(b), len(content))
			}
			return err
		},
		"File": func(t *testing.T) error {
			f, err := files.FS(t.Context(), h).OpenFile(fromRoot, os.O_RDONLY, 0)
			if err != nil {
				return err
			}
			info, err := f.Stat()
			if err == nil && info.Size() != int64(len(content)) {
				t.Errorf("the file has %d bytes, want %d", info.Size(), len(content))
			}
			return errors.Join(err, f.Close())
		},
		"Glob": func(t *testing.T) error {
			names, err := files.Glob(t.Context(), h, filepath.Join(dir, "th*"))
			if err == nil && (len(names) != 1 || names[0] != there) {
				t.Errorf("the pattern matches %q, want %q", names, there)
			}
			return err
		},
		"Expand": func(t *testing.T) error {
			got, err := files.Expand(t.Context(), h, filepath.Join(dir, "th*"))
			if err == nil && got != there {
				t.Errorf("the pattern stands for %q, want %q", got, there)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := use(t); err != nil {
				t.Fatalf("before the loss: %v", err)
			}
			treetest.Lose(t, h)
			if err := use(t); err != nil {
				t.Errorf("after the loss: %v, want that it connects again", err)
			}
		})
	}
}
