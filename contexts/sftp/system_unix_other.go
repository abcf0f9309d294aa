//go:build unix && !linux

package sftp

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func setTimes(f *os.File, atime, mtime time.Time) error {
	times := []unix.Timeval{unix.NsecToTimeval(atime.UnixNano()), unix.NsecToTimeval(mtime.UnixNano())}
	return again(func() error { return unix.Futimes(int(f.Fd()), times) })
}

func chmodLink(name string, a *attributes) error {
	return again(func() error { return unix.Fchmodat(unix.AT_FDCWD, name, a.mode&0o7777, unix.AT_SYMLINK_NOFOLLOW) })
}
