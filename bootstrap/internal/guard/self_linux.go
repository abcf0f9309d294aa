package guard

import (
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// SelfPath returns a path by which this executable can be opened and executed. It is the
// kernel's own link, /proc/self/exe, which works even for an executable that has lost its name
// or never had one.
//
// The link does not serve where an emulator runs this program (binfmt_misc): the kernel then
// executes the emulator. The emulator leads only an open of the link to the program, by the
// name that it was told. That name may be a descriptor, so the first call has to come before
// any inherited descriptor is closed. The file that it opens stays open. Its path names this
// process by number, because the emulator of the next process opens the path after the exec.
func SelfPath() (string, error) {
	if fd := emulated(); fd >= 0 {
		return "/proc/" + strconv.Itoa(os.Getpid()) + "/fd/" + strconv.Itoa(fd), nil
	}
	return "/proc/self/exe", nil
}

// emulated returns a descriptor of this executable where an emulator runs it, and otherwise
// -1. The process never closes the descriptor.
var emulated = sync.OnceValue(func() int {
	const link = "/proc/self/exe"
	var executed, opened unix.Stat_t
	if unix.Stat(link, &executed) != nil {
		return -1
	}
	fd, err := unix.Open(link, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	if unix.Fstat(fd, &opened) == nil && (opened.Dev != executed.Dev || opened.Ino != executed.Ino) {
		return fd
	}
	unix.Close(fd)
	return -1
})
