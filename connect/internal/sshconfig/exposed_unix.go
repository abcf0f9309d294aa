//go:build unix

package sshconfig

import (
	"io/fs"
	"os"
	"syscall"
)

// isExposed reports whether somebody else can change a file: it is neither ours nor root's, or its
// group or all others may write it (readconf.c, SSHCONF_CHECKPERM).
func isExposed(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid != 0 && int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0)
}
