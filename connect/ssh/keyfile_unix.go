//go:build unix

package ssh

import (
	"io/fs"
	"os"
	"syscall"
)

// exposed reports whether a file of ours can be read or written by others. A
// file of somebody else's is that one's business, as in ssh.
func exposed(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid() && info.Mode().Perm()&0o077 != 0
}
