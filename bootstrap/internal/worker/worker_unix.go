//go:build unix

package worker

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
)

// TakeOver makes files of the descriptors that the guard has prepared. It may be called
// once; the caller owns the files.
func TakeOver() Files {
	return Files{
		In: pollable(guard.WorkerIn, "link"), Out: pollable(guard.WorkerOut, "link"),
		Output: pollable(guard.WorkerLog, "output"), Stderr: os.NewFile(guard.WorkerStderr, "stderr"),
	}
}

// pollable makes a file whose Close unblocks Read. That takes non-blocking mode, which belongs
// to the open file and not to the descriptor. A terminal is likely to be shared with the shell
// that started this process, so pollable opens it again.
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
