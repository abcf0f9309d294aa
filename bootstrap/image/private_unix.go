//go:build unix

package image

import (
	"io/fs"
	"os"
	"syscall"
)

// isOurs reports whether a file belongs to the user that this process acts as.
func isOurs(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// isPrivate reports whether a directory belongs to this user and nobody else may look
// into it.
func isPrivate(info fs.FileInfo) bool { return isOurs(info) && info.Mode().Perm()&0o077 == 0 }
