//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package console

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const getSerial, setSerial = unix.TIOCGETA, unix.TIOCSETA

func setSpeed(m *unix.Termios, baud int) {
	setNumber(&m.Ispeed, baud)
	setNumber(&m.Ospeed, baud)
}

// setNumber sets a field whose type is not the same everywhere.
func setNumber[T ~int32 | ~uint32 | ~uint64](field *T, n int) { *field = T(n) }

// dropOutput drops bytes that were written and not sent: closing would wait for them.
func dropOutput(fd int) error { return unix.IoctlSetPointerInt(fd, unix.TIOCFLUSH, syscall.TCOFLUSH) }
