package disk

import (
	"errors"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// procFD reports whether files can be named by their descriptors. An unprivileged process
// gives a file without a name one in that way.
var procFD = sync.OnceValue(func() bool {
	_, err := os.Stat("/proc/self/fd")
	return err == nil
})

// openUnnamed makes a file without a name in d (O_TMPFILE, open(2)).
func openUnnamed(d *Dir) (*os.File, error) {
	if !procFD() {
		return nil, errors.ErrUnsupported
	}
	for {
		fd, err := unix.Openat(int(d.file.Fd()), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), d.name("(new file)")), nil
		case unix.EINTR:
		case unix.EOPNOTSUPP, unix.EISDIR, unix.EINVAL:
			// The file system or the kernel does not know O_TMPFILE.
			return nil, errors.ErrUnsupported
		default:
			return nil, &os.PathError{Op: "create", Path: d.path, Err: err}
		}
	}
}

func linkUnnamed(f *os.File, d *Dir, name string) error {
	err := unix.Linkat(unix.AT_FDCWD, descriptorPath(f), int(d.file.Fd()), name, unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		return &os.PathError{Op: "link", Path: d.name(name), Err: err}
	}
	return nil
}

func setUnnamedTime(f *os.File, t time.Time) error {
	m, err := unix.TimeToTimespec(t)
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, descriptorPath(f), []unix.Timespec{{Nsec: unix.UTIME_OMIT}, m}, 0)
}

func descriptorPath(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

func syncDir(f *os.File) error { return f.Sync() }
