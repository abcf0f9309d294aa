package guard

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// detach makes this process the new parent of orphans among its descendants, daemons with
// sessions of their own included, and takes it off the carrier's terminal. It also undoes a
// parent-death signal. The link ends with the parent anyway, and a killed guard would leave
// the worker's processes behind.
func detach() {
	nameProcess()
	unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0)
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	unix.Setsid() // fails where the carrier has done it
}

// getsOrphans reports whether this process is the new parent of orphans. Emulators don't
// pass the request on.
func getsOrphans() bool {
	var is int32
	return unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&is)), 0, 0, 0) == nil && is != 0
}

// processName is what ps and top show of a guard, beside its arguments.
const processName = "mitosis-guard"

// nameProcess takes the place of the name that a program gets which is executed
// by descriptor, which is a number.
func nameProcess() {
	name := append([]byte(processName), 0)
	unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
}

// workerAttr: SIGTERM rather than SIGKILL on the guard's death, since the
// worker is then the only one left that can clean up.
func workerAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
}

// closeStray closes descriptors that the tool or the first stage has left open: somebody may
// be waiting for the end of a pipe whose write end leaked to here. Inherited descriptors lack
// close-on-exec, which the Go runtime has set on its own.
func closeStray() {
	for _, fd := range readNumbers("/proc/self/fd") {
		if fd < 3 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
}

// waitHangup returns when the other end of the link's input is closed, or the
// lease is over. Unread data does not hide that, and nothing is read.
func (w *worker) waitHangup() {
	for {
		p := []unix.PollFd{w.polled()}
		n, err := unix.Poll(p, -1)
		if n == 1 || err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
