package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Two copies make the same new file at once: the one whose name is taken when it
// is complete is still whole, and replaces what the other made.
func TestNameTakenMeanwhile(t *testing.T) {
	for _, unnamed := range []bool{true, false} {
		NoUnnamed.Store(!unnamed)
		t.Cleanup(func() { NoUnnamed.Store(false) })
		path := t.TempDir()
		root, err := os.OpenRoot(path)
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDir(root, path, false)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Release()
		made, err := CreateOutput(d)
		if err != nil {
			t.Fatal(err)
		}
		defer made.Discard()
		if _, err := made.File.WriteString("second"); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(path, "target")
		if err := os.WriteFile(name, []byte("first"), 0o600); err != nil {
			t.Fatal(err)
		}
		a := Attributes{Mode: 0o640, UID: -1, GID: -1}
		if made.name == "" {
			if err := made.Commit("target", a, false, true); !errors.Is(err, fs.ErrExist) {
				t.Errorf("unnamed %v: committed to a name that is taken, want fs.ErrExist, got %v", unnamed, err)
			}
		}
		if err := made.Commit("target", a, true, true); err != nil {
			t.Errorf("unnamed %v: want that it replaces the other file, got %v", unnamed, err)
		}
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("unnamed %v: want mode 0640, got %v, %v", unnamed, info, err)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != "second" {
			t.Errorf("unnamed %v: want the contents %q, got %q, %v", unnamed, "second", b, err)
		}
	}
}
