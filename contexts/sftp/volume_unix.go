//go:build linux || darwin || freebsd

package sftp

import (
	"os"

	"golang.org/x/sys/unix"
)

const hasVolumes = true

func volumeOf(name string) (volume, error) {
	return volumeBy(func(st *unix.Statfs_t) error { return unix.Statfs(name, st) })
}

func volumeOfOpen(f *os.File) (volume, error) {
	return volumeBy(func(st *unix.Statfs_t) error { return unix.Fstatfs(int(f.Fd()), st) })
}

func volumeBy(statfs func(*unix.Statfs_t) error) (volume, error) {
	var st unix.Statfs_t
	if err := again(func() error { return statfs(&st) }); err != nil {
		return volume{}, err
	}
	v := volumeFrom(&st)
	v.id = uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32
	if st.Flags&mountReadOnly != 0 {
		v.flags |= volumeReadOnly
	}
	if st.Flags&mountNoSetuid != 0 {
		v.flags |= volumeNoSetuid
	}
	return v, nil
}
