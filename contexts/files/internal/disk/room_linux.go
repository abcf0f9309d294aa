package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// mayMakeIn returns why no file can be made and given a name that is taken in d,
// as far as that can be told beforehand.
func mayMakeIn(d *Dir) error {
	fd := int(d.file.Fd())
	const kept = unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, 0, &st); err == nil && st.Attributes&kept != 0 {
		return unix.EPERM
	}
	return unix.Faccessat(fd, ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// reserve makes sure that there is room for the first bytes of a file, without
// changing what is in it.
func reserve(f *os.File, size int64) error {
	for {
		switch err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
			return err
		default:
			return nil // or the file system can't say
		}
	}
}
