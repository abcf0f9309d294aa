//go:build unix && !linux

package guard

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Without subreapers a daemon that left its session escapes; what stayed in
// the worker's session, or is still its descendant, does not.
func detach() { unix.Setsid() }

func getsOrphans() bool { return false }

func workerAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func closeStray() {}

// waitHangup returns when the other end of the link's input is closed. poll
// reports POLLHUP for pipes and sockets on every system; macOS can't poll a
// terminal, where the worker alone notices the end.
func (w *worker) waitHangup() {
	for {
		p := []unix.PollFd{{Fd: int32(w.link)}}
		n, err := unix.Poll(p, -1)
		if err != nil && !errors.Is(err, unix.EINTR) || n == 1 && p[0].Revents&unix.POLLNVAL != 0 {
			select {}
		}
		if n == 1 && p[0].Revents&unix.POLLHUP != 0 {
			return
		}
		if n == 1 {
			time.Sleep(100 * time.Millisecond)
		}
	}
}
