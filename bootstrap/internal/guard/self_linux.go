package guard

import (
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// SelfPath names this executable for opening and executing, also by other
// processes of this PID namespace for as long as this one lives. The kernel's
// own link serves, which works for an executable that has no name any more or
// never had one.
//
// It does not where an emulator runs this program (binfmt_misc). What the kernel
// executes then is the emulator; only in opening the link does that put the
// program in its own place, by the name that it was told. The name may be a
// descriptor, so the first call has to come before anything inherited is closed.
// What it opens stays open, and is named as this process's, since the emulator of
// the next process opens it after the exec.
func SelfPath() (string, error) {
	if fd := emulated(); fd >= 0 {
		return "/proc/" + strconv.Itoa(os.Getpid()) + "/fd/" + strconv.Itoa(fd), nil
	}
	return "/proc/self/exe", nil
}

// emulated is a descriptor of this executable where the kernel can't execute it
// by itself, and else -1.
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
