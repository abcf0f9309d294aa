package guard

import (
	"bytes"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A context may go on when its link has hung up. It sets a timer that it shares with its
// guard, and sets it again as long as it goes on. When the timer ends, the guard ends the
// context as it would at the end of the link. So the guard also ends a context that is stopped
// or spins.
//
// The timer's clock stands still while the machine sleeps. Otherwise all leases would be over
// when the machine wakes.

// newLease makes the timer and returns its descriptor. If it can't, it returns other in its
// place, and Lease fails in the worker.
func newLease(other int) int {
	fd, _, errno := unix.RawSyscall(unix.SYS_TIMERFD_CREATE, unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK, 0)
	if errno != 0 {
		return other
	}
	return int(fd)
}

// Lease sets the worker's timer. From now on the context does not end with its link, but
// after this time, unless the timer is set again before.
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

// released reports whether the link has hung up while a lease runs, so that the context goes on
// without its link. If so, the guard waits for the end of the lease from now on, and the next
// call returns false.
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

// polled returns the descriptor and event by which the end of the link or lease shows.
func (w *worker) polled() unix.PollFd {
	p := unix.PollFd{Fd: int32(w.link), Events: unix.POLLRDHUP}
	if w.link == w.lease {
		p.Events = unix.POLLIN
	}
	return p
}

// Below returns the process ID of the nearest guard above our own, 0 where there is none. That
// guard would end this context together with its own. An error means that Below can't tell
// whether there is such a guard.
func Below() (int, error) {
	for pid := guardPID; pid > 0; {
		p, ok := readStat("/proc", pid)
		if !ok {
			return 0, fmt.Errorf("/proc has no entry for process %d, which is above this context", pid)
		}
		if pid = p.Parent; pid <= 1 {
			break
		}
		line, err := readStart(pid, "cmdline")
		if err != nil {
			return 0, err
		}
		if words := bytes.Split(line, []byte{0}); len(words) > 1 && bytes.HasPrefix(words[1], []byte(GuardPrefix)) {
			return pid, nil
		}
	}
	return 0, nil
}
