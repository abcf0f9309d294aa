//go:build unix && !linux

package guard

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// detach takes this process off the carrier's terminal. These systems give no orphans to it, so
// a daemon that has left the worker's session escapes. Processes that stayed in the session, or
// are still descendants, are found.
func detach() { unix.Setsid() }

func getsOrphans() bool { return false }

func workerAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func closeStray() {}

// waitHangup returns when the other end of the link's input is closed. On every system poll
// reports POLLHUP for pipes and sockets. macOS can't poll a terminal: there only the worker
// notices the end.
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
