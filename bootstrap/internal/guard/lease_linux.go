package guard

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A context may go on when its link has hung up. It says so by setting the timer
// that it shares with its guard, and goes on for as long as it sets it again: when
// the timer ends, the guard ends the context as it would at the link's end. So a
// context that is stopped, or spins, is ended as well.
//
// The clock is one that stands still while the machine sleeps: else all leases
// would be over when it wakes.

// newLease makes the timer. Where that can't be done, other is in its place, by
// which Lease fails.
func newLease(other int) int {
	fd, _, errno := unix.RawSyscall(unix.SYS_TIMERFD_CREATE, unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK, 0)
	if errno != 0 {
		return other
	}
	return int(fd)
}

// Lease sets the worker's timer: from now on the end of the link is not the
// context's, but the end of this time is, unless it is set again before.
func Lease(d time.Duration) error {
	if Marker == "" {
		return errors.ErrUnsupported
	}
	set := unix.ItimerSpec{Value: unix.NsecToTimespec(max(d.Nanoseconds(), 1))}
	if err := unix.TimerfdSettime(WorkerLease, 0, &set, nil); err != nil {
		return fmt.Errorf("%w: the guard has no timer: %w", errors.ErrUnsupported, err)
	}
	return nil
}

// released notes that the context goes on without its link, if that is so: from
// then on the lease is what the guard waits for.
func (w *worker) released() bool {
	var left unix.ItimerSpec
	p := []unix.PollFd{{Fd: int32(w.link), Events: unix.POLLRDHUP}}
	if n, err := unix.Poll(p, 0); w.link == w.lease || n != 1 || err != nil {
		return false
	}
	_, _, errno := unix.RawSyscall(unix.SYS_TIMERFD_GETTIME, uintptr(w.lease), uintptr(unsafe.Pointer(&left)), 0)
	if errno != 0 || left.Value == (unix.Timespec{}) {
		return false
	}
	unix.Close(w.link)
	w.link = w.lease
	return true
}

// polled is what tells of the end of the link or the lease.
func (w *worker) polled() unix.PollFd {
	p := unix.PollFd{Fd: int32(w.link), Events: unix.POLLRDHUP}
	if w.link == w.lease {
		p.Events = unix.POLLIN
	}
	return p
}

// Below returns the process ID of the nearest guard above our own, 0 where there
// is none: it would end this context together with its own. An error means that
// it can't be told.
func Below() (int, error) {
	for pid := guardPID; pid > 0; {
		p, ok := readStat("/proc", pid)
		if !ok {
			return 0, fmt.Errorf("process %d, which is above this context, can't be looked at", pid)
		}
		if pid = p.Parent; pid <= 1 {
			break
		}
		line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err != nil {
			return 0, err
		}
		if words := bytes.Split(line, []byte{0}); len(words) > 1 && bytes.HasPrefix(words[1], []byte(GuardPrefix)) {
			return pid, nil
		}
	}
	return 0, nil
}
