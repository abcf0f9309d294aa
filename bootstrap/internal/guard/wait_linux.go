package guard

import (
	"errors"

	"golang.org/x/sys/unix"
)

// noChildren reports whether this process has no children. It reaps none of them: only reap
// does that.
func noChildren() bool { return noChild(unix.P_ALL, 0) }

// wasReaped reports whether the sleeper has reaped the worker, which had exited with status 0.
func wasReaped(worker int) bool { return noChild(unix.P_PID, worker) }

// reapOptions are the options of wait4 behind awaitChild.
const reapOptions = unix.WNOHANG

// awaitChild waits until a child is dead, and reports whether there is any child.
func awaitChild() bool {
	for {
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}

func noChild(kind, id int) bool {
	for {
		err := unix.Waitid(kind, id, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return errors.Is(err, unix.ECHILD)
		}
	}
}
