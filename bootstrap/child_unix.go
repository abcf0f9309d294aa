//go:build unix

package bootstrap

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
)

// takeOver makes files of the descriptors that the guard has prepared.
func takeOver() (l *childLink, output, stderr *os.File) {
	l = &childLink{Pipe: NewPipe(pollable(guard.WorkerIn, "link"), pollable(guard.WorkerOut, "link"))}
	return l, pollable(guard.WorkerLog, "output"), os.NewFile(guard.WorkerStderr, "stderr")
}

// pollable makes a file whose Close unblocks Read, which takes non-blocking mode.
// That mode belongs to the open file, not to the descriptor, and a terminal is
// likely to be shared with the shell that we came from: it is opened anew.
func pollable(fd int, name string) *os.File {
	if _, err := unix.IoctlGetTermios(fd, ioctlGetTermios); err == nil {
		path := fmt.Sprintf("/proc/self/fd/%d", fd)
		if again, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err == nil {
			unix.Close(fd)
			return os.NewFile(uintptr(again), name)
		}
	}
	unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), name)
}
