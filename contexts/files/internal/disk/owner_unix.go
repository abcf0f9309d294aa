//go:build unix

package disk

import (
	"io/fs"
	"os"
	"syscall"
)

// OwnerOf returns the numeric owner and group of a file, or -1 and -1.
func OwnerOf(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

// ours reports whether a file belongs to the user who owns our new files, and has no
// other name.
func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && st.Nlink == 1
}

// NoWait has the flags with which opening a named pipe does not wait for a writer.
const NoWait = syscall.O_NONBLOCK
