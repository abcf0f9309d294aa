package files

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// fullDisk mounts a file system of 1 MiB that is almost full; "" where that is
// not possible.
func fullDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("mitosis-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		return ""
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "fill"), make([]byte, 1<<20-16<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
