package copies

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/contexts/fleet/journal"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

func TestMain(m *testing.M) {
	contexts.Init()
	os.Exit(m.Run())
}

// group has members on this host. One that is called broken can't be connected.
func group(t *testing.T, p fleet.Policy, names ...string) *fleet.Group {
	t.Helper()
	g, err := fleet.New(treetest.Start(t, nil), fleet.NewHosts(names...), &fleet.Config{Policy: p, Hops: func(name string) ([]connect.Method, error) {
		if name == "broken" {
			return []connect.Method{local.Exec{Name: name, Argv: []string{"/nonexistent/tool"}}}, nil
		}
		return []connect.Method{local.Exec{Name: "x", Argv: []string{"env", "MEMBER=" + name}}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s holds %q, %v, want %q", path, b, err, want)
	}
}

var names = []string{"a", "broken", "ssh:b/c", "fe80::1"}

func TestPutAndFetch(t *testing.T) {
	dir := t.TempDir()
	for _, n := range names {
		write(t, filepath.Join(dir, "conf", FileName(n)), "for "+n)
	}
	g := group(t, fleet.Policy{}, names...)
	put := fleet.Collect(Put(t.Context(), g, dir+"/conf/{host}", dir+"/put-{host}", nil))
	if put.OK().Len() != 3 || put.Failed().String() != "broken" {
		t.Fatalf("%v have the file, %v", put.OK(), put.Err())
	}
	holds(t, dir+"/put-a", "for a")
	holds(t, dir+"/put-ssh%3Ab%2Fc", "for ssh:b/c")
	holds(t, dir+"/put-fe80%3A%3A1", "for fe80::1")

	fetched := fleet.Collect(Fetch(t.Context(), g, dir+"/conf/{host}", dir+"/logs/{host}/of/app.log", nil))
	if fetched.OK().Len() != 3 {
		t.Fatalf("%v were fetched, %v", fetched.OK(), fetched.Err())
	}
	holds(t, dir+"/logs/ssh%3Ab%2Fc/of/app.log", "for ssh:b/c")
	if r, _ := fetched.Of("a"); r.Value.Target != dir+"/logs/a/of/app.log" || r.Value.Size != 5 {
		t.Errorf("the result of a is %+v", r.Value)
	}
	missing := fleet.Collect(Fetch(t.Context(), g, dir+"/none", dir+"/none-{host}", nil))
	if r, _ := missing.Of("a"); !errors.Is(r.Err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v, want fs.ErrNotExist", r.Err)
	}
}

// Each member gets the file of PutAll, but those that can't be connected.
func TestPutAll(t *testing.T) {
	dir := t.TempDir()
	source := write(t, dir+"/source", "the same for all")
	target := dir + "/target"
	g := group(t, fleet.Policy{}, names...)
	r := fleet.Collect(PutAll(t.Context(), g, source, target, &files.Options{Overwrite: files.InPlace}))
	if r.OK().Len() != 3 || r.Failed().String() != "broken" {
		t.Fatalf("%v have the file, %v", r.OK(), r.Err())
	}
	holds(t, target, "the same for all")
	if broken, _ := r.Of("broken"); !errors.As(broken.Err, new(*fleet.ConnectError)) {
		t.Errorf("the error of broken is %v, want a *ConnectError", broken.Err)
	}
}

// A second run with the same journal copies to those only that have failed.
func TestPutAllKeepsToThePolicy(t *testing.T) {
	dir := t.TempDir()
	source := write(t, dir+"/source", "text")
	j, err := journal.Open(dir + "/journal")
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	careful := fleet.Policy{Batches: []fleet.Share{{N: 1}, {Percent: 100}}, StopAbove: &fleet.Share{}, Journal: j, Name: "put"}
	g := group(t, careful, "a", "broken", "b", "c")
	batches := 0
	careful.Between = func(context.Context, fleet.Progress) error { batches++; return nil }
	r := fleet.Collect(PutAll(t.Context(), g.With(careful), source, dir+"/target", nil))
	if r.OK().String() != "a" || r.NotTried().String() != "b,c" || batches != 1 {
		t.Errorf("%v have the file, %v were not tried, after %d batches; want a, and b,c because broken failed in the second batch: %v", r.OK(), r.NotTried(), batches, r.Err())
	}
	careful.StopAbove = nil
	r = fleet.Collect(PutAll(t.Context(), g.With(careful), source, dir+"/target", nil))
	a, _ := r.Of("a")
	if r.OK().Len() != 3 || !a.Before {
		t.Errorf("after the second run %v have the file, that of a is from before: %v; want a, b and c: %v", r.OK(), a.Before, r.Err())
	}
}

// A path that can't be right for several members is found before any is connected.
func TestWrongTemplates(t *testing.T) {
	dir := t.TempDir()
	source := write(t, dir+"/source", "text")
	g := group(t, fleet.Policy{}, names...)
	for what, r := range map[string]*fleet.Results[files.Result]{
		"one target":      fleet.Collect(Fetch(t.Context(), g, source, dir+"/new/log", nil)),
		"targets of all":  fleet.Collect(PutAll(t.Context(), g, source, dir+"/{host}", nil)),
		"sources of each": fleet.Collect(PutAll(t.Context(), g, dir+"/{host}", dir+"/new/x", nil)),
	} {
		if r.NotTried().Len() != len(names) || !errors.Is(r.Err(), ErrTemplate) {
			t.Errorf("%s: %v were not tried, %v; want all, and ErrTemplate", what, r.NotTried(), r.Err())
		}
	}
	if _, err := os.Stat(dir + "/new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory was made: %v", err)
	}
	if r := fleet.Collect(Fetch(t.Context(), g.Only(fleet.NewHosts("a")), source, dir+"/one", nil)); r.Err() != nil {
		t.Errorf("one member needs no template: %v", r.Err())
	}
}

// No two names have one file name, and none leads elsewhere.
func TestFileNames(t *testing.T) {
	seen := make(map[string]string)
	long := strings.Repeat("x", 300)
	for _, name := range []string{
		"web1", "web1.", ".web1", "web1.example.com", "ssh:a/b", "ssh_a_b", "ssh%3Aa%2Fb", "user@h", "h:22", "[fe80::1]:22", "fe80::1%eth0",
		".", "..", "../../etc/passwd", `..\x`, "a b", "ä", "a\x00b", "nul", "NUL.example.com", "com1", "common", "-rf", "~", long, long + "y", long + "z",
		strings.Repeat("/", 100),
	} {
		f := FileName(name)
		if other, taken := seen[f]; taken {
			t.Errorf("%q and %q are both %q", name, other, f)
		}
		seen[f] = name
		if len(f) > longestName || f == "." || f == ".." || strings.ContainsAny(f, "/\\:*?\"<>| \x00") || f != filepath.Base(f) {
			t.Errorf("%q is %q, want a file name", name, f)
		}
		if back, err := url.PathUnescape(f); len(name) < 60 && (err != nil || back != name) {
			t.Errorf("%q is %q, which says %q, %v", name, f, back, err)
		}
	}
	for name, want := range map[string]string{"web1.example.com": "web1.example.com", "ssh:b/c": "ssh%3Ab%2Fc", "nul": "%6Eul", "h.": "h%2E"} {
		if got := FileName(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}
