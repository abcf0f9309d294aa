//go:build unix

package disk

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// NoControl has the flag with which a terminal that is opened does not become the one of
// this process.
const NoControl = syscall.O_NOCTTY

// waitInWrites makes writes to a file wait until they are done.
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
