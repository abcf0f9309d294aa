//go:build unix

package command

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// polledFile reads a file that may have to be waited for, and can be told to
// stop. It has a descriptor of its own.
type polledFile struct {
	fd               int
	wake, wakeSender *os.File
}

// newFileStopper returns nil for a file that cannot be polled.
func newFileStopper(f *os.File) stopper {
	p := &polledFile{fd: -1}
	err := descriptor.Control(f, func(fd int) (err error) {
		p.fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		return err
	})
	if err == nil {
		p.wake, p.wakeSender, err = os.Pipe()
	}
	if err == nil {
		// macOS cannot poll some devices, and says so.
		probe := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		if _, err = unix.Poll(probe, 0); probe[0].Revents&unix.POLLNVAL != 0 {
			err = unix.EINVAL
		}
	}
	if err != nil && !errors.Is(err, unix.EINTR) {
		if p.wake != nil {
			p.wakeSender.Close()
		}
		if p.fd >= 0 {
			p.release()
		}
		return nil
	}
	return p
}

func (p *polledFile) Read(b []byte) (int, error) {
	return descriptor.ReadWhenReady(p.fd, b, p.wait)
}

// wait waits until there is something to read, or until stop.
func (p *polledFile) wait() error {
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}, {Events: unix.POLLIN}}
	for {
		err := descriptor.Control(p.wake, func(fd int) error {
			fds[1].Fd = int32(fd)
			_, err := unix.Poll(fds, -1)
			return err
		})
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case fds[1].Revents != 0:
			return errStopped
		default:
			return nil
		}
	}
}

func (p *polledFile) stop() { p.wakeSender.Close() }

func (p *polledFile) release() {
	unix.Close(p.fd)
	if p.wake != nil {
		p.wake.Close()
	}
}
