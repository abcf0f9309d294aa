//go:build unix

package descriptor

import (
	"cmp"
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ReadNow reads without waiting: it returns 0 and no error if there are no bytes yet.
func ReadNow(f *os.File, b []byte) (n int, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var inner error
	err = conn.Read(func(fd uintptr) bool {
		n, inner = unix.Read(int(fd), b)
		return true
	})
	switch {
	case err != nil:
		return 0, err
	case errors.Is(inner, unix.EAGAIN) || errors.Is(inner, unix.EINTR):
		return 0, nil
	case inner != nil && !IsTerminalEnd(inner):
		return 0, inner
	case n <= 0:
		return 0, io.EOF
	}
	return n, nil
}

// ReadWhenReady reads from a descriptor. wait is called before each attempt, and waits until
// there may be bytes; its error ends the read.
func ReadWhenReady(fd int, b []byte, wait func() error) (int, error) {
	for {
		if err := wait(); err != nil {
			return 0, err
		}
		n, err := unix.Read(fd, b)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// WriteWhenReady runs f with the descriptor of a connection, and again whenever there is
// room to write after f has failed with EAGAIN. The write deadline of c bounds that.
func WriteWhenReady(c syscall.Conn, f func(fd int) error) error {
	conn, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = conn.Write(func(fd uintptr) bool {
		inner = f(int(fd))
		return !errors.Is(inner, unix.EAGAIN)
	})
	return cmp.Or(err, inner)
}

// IsTerminalEnd reports whether a read error means that no process has the terminal open any
// more.
func IsTerminalEnd(err error) bool { return errors.Is(err, syscall.EIO) }
