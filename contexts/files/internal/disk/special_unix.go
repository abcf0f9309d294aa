//go:build unix

package disk

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// NoControl keeps a terminal that is opened from becoming this process's own.
const NoControl = syscall.O_NOCTTY

// waitInWrites has writes to a file wait until they are done.
func waitInWrites(f *os.File) {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _ = unix.SetNonblock(int(fd), false) })
	}
}

// duplicate makes another descriptor of the same open file.
func duplicate(n int, name string) (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
