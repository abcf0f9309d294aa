//go:build unix

package files

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
)

func TestOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	write(t, filepath.Join(from, "d", "f"), noise(10))
	for _, name := range []string{"", "d", "d/f"} {
		if err := os.Chown(filepath.Join(from, name), 1, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("f", filepath.Join(from, "d", "l")); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(filepath.Join(from, "d", "l"), 3, 4); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(from, "d", "f"), 0o755|fs.ModeSetuid|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	check := func(to, name string, uid, gid int, mode fs.FileMode) {
		t.Helper()
		info, err := os.Lstat(filepath.Join(to, name))
		if err != nil {
			t.Fatal(err)
		}
		if u, g := disk.OwnerOf(info); u != uid || g != gid || mode != 0 && info.Mode() != mode {
			t.Errorf("%s: got %d:%d %v, want %d:%d and mode %v (0: any)", name, u, g, info.Mode(), uid, gid, mode)
		}
	}
	plain, same := filepath.Join(dir, "plain"), filepath.Join(dir, "same")
	mustCopy(t, from, plain, Options{})
	check(plain, "d", 0, 0, 0)
	check(plain, "d/f", 0, 0, 0o755)
	check(plain, "d/l", 0, 0, 0)
	for range 2 { // the second time only what is missing is done
		mustCopy(t, from, same, Options{Owner: true})
		check(same, "", 1, 2, 0)
		check(same, "d", 1, 2, 0)
		check(same, "d/f", 1, 2, 0o755|fs.ModeSetuid|fs.ModeSetgid)
		check(same, "d/l", 3, 4, 0)
		if err := os.Chmod(filepath.Join(same, "d/f"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
