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

// processName is the name that ps and top show for a guard.
const processName = "mitosis-guard"

// nameProcess sets the name of this process. The kernel names a program that is executed by
// descriptor after the descriptor, which is a number.
func nameProcess() {
	name := append([]byte(processName), 0)
	unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
}

// workerAttr has the kernel send SIGTERM to the worker when the guard dies. It is not SIGKILL,
// because then only the worker is left to clean up.
func workerAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
}

// closeStray closes descriptors that the tool or the first stage has left open. One of them may
// be the write end of a pipe, and its reader waits for its end. Inherited descriptors lack
// close-on-exec, which the Go runtime has set on its own descriptors.
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

// waitHangup returns when the other end of the link's input is closed, or when the lease is
// over. It reads nothing, and sees the end behind data that nobody has read.
func (w *worker) waitHangup() {
	for {
		p := []unix.PollFd{w.polled()}
		n, err := unix.Poll(p, -1)
		if n == 1 || err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
