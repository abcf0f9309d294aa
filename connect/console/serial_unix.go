//go:build (linux && !ppc && !ppc64 && !ppc64le && !sparc64) || darwin || freebsd || netbsd || openbsd || dragonfly

package console

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// serial is a port that is locked for this process.
type serial struct {
	*os.File
	before *unix.Termios
}

// openSerial opens a port as a pipe of bytes. Two programs at one port would each get a part of
// the input. So it is locked in the two ways that programs heed: by flock, and by TIOCEXCL,
// which does not stop root.
func openSerial(path string, baud int, flow bool) (portConn, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, failure.Classify(connect.ErrStart, fmt.Errorf("another program has it: %w", err))
	case errors.Is(err, fs.ErrPermission):
		return nil, failure.Classify(connect.ErrPermission, err)
	case err != nil:
		return nil, failure.Classify(connect.ErrStart, err)
	}
	s := &serial{File: file}
	if err := descriptor.Control(file, func(fd int) error { return s.prepare(fd, baud, flow) }); err != nil {
		_ = file.Close()
		return nil, failure.Classify(connect.ErrStart, fmt.Errorf("%s: %w", path, err))
	}
	return s, nil
}

func (s *serial) prepare(fd, baud int, flow bool) error {
	before, err := unix.IoctlGetTermios(fd, getSerial)
	if err != nil {
		return fmt.Errorf("it is neither a serial port nor a socket: %w", err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("another program has it: %w", err)
	}
	if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
		return err
	}
	s.before = before
	m := *before
	m.Iflag, m.Oflag, m.Lflag = 0, 0, 0
	m.Cflag &^= unix.CSIZE | unix.PARENB | unix.CSTOPB | unix.CRTSCTS
	m.Cflag |= unix.CS8 | unix.CREAD | unix.CLOCAL | unix.HUPCL
	if flow {
		m.Cflag |= unix.CRTSCTS
	}
	m.Cc[unix.VMIN], m.Cc[unix.VTIME] = 1, 0
	setSpeed(&m, baud)
	if err := unix.IoctlSetTermios(fd, setSerial, &m); err != nil {
		return fmt.Errorf("%d baud: %w", baud, err)
	}
	return nil
}

// Close restores the settings.
func (s *serial) Close() error {
	_ = descriptor.Control(s.File, func(fd int) error {
		_ = dropOutput(fd)
		_ = unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
		return unix.IoctlSetTermios(fd, setSerial, s.before)
	})
	return s.File.Close()
}
