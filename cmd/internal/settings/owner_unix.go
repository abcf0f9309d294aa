//go:build unix

package settings

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// onlyOurs returns an error if others than this user and root may write to a file or directory.
// Access control lists show in the bits of the group.
func onlyOurs(name string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user, whose number is %d", name, stat.Uid)
	case info.Mode()&0o022 != 0:
		return fmt.Errorf("others may write to %s; chmod go-w changes that", name)
	}
	return nil
}
