package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// mayMakeIn returns why no file in d can be replaced by a new one, as far as that can be
// told beforehand; nil if perhaps one can.
func mayMakeIn(d *Dir) error {
	fd := int(d.file.Fd())
	const kept = unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, 0, &st); err == nil && st.Attributes&kept != 0 {
		return unix.EPERM
	}
	return unix.Faccessat(fd, ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// reserve makes sure that there is room for the first bytes of a file, without changing
// its contents.
func reserve(f *os.File, size int64) error {
	for {
		switch err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
			return err
		default:
			return nil // there is room, or the file system can't tell
		}
	}
}
