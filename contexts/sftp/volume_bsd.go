//go:build darwin || freebsd

package sftp

import "golang.org/x/sys/unix"

const (
	mountReadOnly = unix.MNT_RDONLY
	mountNoSetuid = unix.MNT_NOSUID
)

// longestName is that of the file systems of these systems, in bytes.
const longestName = 255

func volumeFrom(st *unix.Statfs_t) volume {
	// Some of the numbers may be negative: what is reserved is in use.
	available, filesFree := uint64(max(int64(st.Bavail), 0)), uint64(max(int64(st.Ffree), 0))
	return volume{
		blockSize: uint64(st.Iosize), unit: uint64(st.Bsize),
		blocks: st.Blocks, free: st.Bfree, available: available,
		files: st.Files, filesFree: filesFree, filesOpen: filesFree,
		longestName: longestName,
	}
}
