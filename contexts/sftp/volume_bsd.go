//go:build darwin || freebsd

package sftp

import "golang.org/x/sys/unix"

const (
	mountReadOnly = unix.MNT_RDONLY
	mountNoSetuid = unix.MNT_NOSUID
)

// longestName is the length of the longest name in the file systems of these systems, in
// bytes.
const longestName = 255

func volumeFrom(st *unix.Statfs_t) volume {
	// These are negative when blocks or files that are reserved for root are in use.
	available, filesFree := uint64(max(int64(st.Bavail), 0)), uint64(max(int64(st.Ffree), 0))
	return volume{
		blockSize: uint64(st.Iosize), unit: uint64(st.Bsize),
		blocks: st.Blocks, free: st.Bfree, available: available,
		files: st.Files, filesFree: filesFree, filesOpen: filesFree,
		longestName: longestName,
	}
}
