//go:build unix

package fakessh

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// shimFile reads or writes a standard descriptor of a shim. Other processes have the same open
// file, so its flags must not change, above all O_NONBLOCK. Yet no goroutine may be stuck in
// the kernel when the shim has gone.
type shimFile struct {
	fd    int
	own   int // to be closed; -1: nothing
	wake  int // readable when nobody wants anything any more
	limit int // of one write, in bytes; 0: none
	send  func(fd int, b []byte) (int, error)
}

// newOutput makes a file that can be written to. It has to be released.
func newOutput(fd, wake int) *shimFile {
	d := &shimFile{fd: fd, own: -1, wake: wake, send: unix.Write}
	var s unix.Stat_t
	if unix.Fstat(fd, &s) != nil {
		return d
	}
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		d.send = func(fd int, b []byte) (int, error) {
			return unix.SendmsgN(fd, b, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}
	case unix.S_IFIFO, unix.S_IFCHR:
		// Opened again it has flags of its own. If that fails, writes are limited to the
		// room that a writable pipe has.
		fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", d.fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err == nil {
			d.fd, d.own = fd, fd
		} else {
			d.limit = 512 // PIPE_BUF of POSIX
		}
	}
	return d
}

func (d *shimFile) release() {
	if d.own >= 0 {
		unix.Close(d.own)
	}
}

// wait waits until the descriptor is ready.
func (d *shimFile) wait(events int16) error {
	fds := []unix.PollFd{{Fd: int32(d.fd), Events: events}, {Fd: int32(d.wake), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			return os.NewSyscallError("poll", err)
		}
		if fds[1].Revents != 0 {
			return os.ErrClosed
		}
		return nil
	}
}

// Read implements io.Reader.
func (d *shimFile) Read(b []byte) (int, error) {
	return descriptor.ReadWhenReady(d.fd, b, func() error { return d.wait(unix.POLLIN) })
}

// Write implements io.Writer.
func (d *shimFile) Write(b []byte) (int, error) {
	written := 0
	ready := d.own >= 0 // it says so itself if it is not
	for written < len(b) {
		if !ready {
			if err := d.wait(unix.POLLOUT); err != nil {
				return written, err
			}
		}
		part := b[written:]
		if d.limit > 0 && len(part) > d.limit {
			part = part[:d.limit]
		}
		n, err := d.send(d.fd, part)
		if n > 0 {
			written += n
		}
		ready = d.own >= 0
		switch {
		case errors.Is(err, unix.EAGAIN):
			ready = false
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return written, os.NewSyscallError("write", err)
		}
	}
	return written, nil
}
