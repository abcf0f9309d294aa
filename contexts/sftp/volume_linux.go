package sftp

import "golang.org/x/sys/unix"

const (
	mountReadOnly = unix.ST_RDONLY
	mountNoSetuid = unix.ST_NOSUID
)

func volumeFrom(st *unix.Statfs_t) volume {
	v := volume{
		blockSize: uint64(st.Bsize), unit: uint64(st.Frsize),
		blocks: st.Blocks, free: st.Bfree, available: st.Bavail,
		files: st.Files, filesFree: st.Ffree, filesOpen: st.Ffree,
		longestName: uint64(st.Namelen),
	}
	if v.unit == 0 {
		v.unit = v.blockSize // some file systems do not report one
	}
	return v
}
