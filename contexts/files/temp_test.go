package files

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
		noUnnamed.Store(!unnamed)
		t.Cleanup(func() { noUnnamed.Store(false) })
		path := t.TempDir()
		root, err := os.OpenRoot(path)
		if err != nil {
			t.Fatal(err)
		}
		d, err := newDir(root, path, false)
		if err != nil {
			t.Fatal(err)
		}
		defer d.release()
		made, err := createTemp(d)
		if err != nil {
			t.Fatal(err)
		}
		defer made.discard()
		if _, err := made.f.WriteString("second"); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(path, "target")
		if err := os.WriteFile(name, []byte("first"), 0o600); err != nil {
			t.Fatal(err)
		}
		a := attributes{mode: 0o640, uid: -1, gid: -1}
		if made.name == "" {
			if err := made.commit("target", a, false, true); !errors.Is(err, fs.ErrExist) {
				t.Errorf("unnamed %v: %v", unnamed, err)
			}
		}
		if err := made.commit("target", a, true, true); err != nil {
			t.Errorf("unnamed %v: %v", unnamed, err)
		}
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("unnamed %v: %v, %v", unnamed, info, err)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != "second" {
			t.Errorf("unnamed %v: %q, %v", unnamed, b, err)
		}
	}
}
