package shim

import (
	"bytes"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const ownLink = "/proc/self/exe"

// SelfPath returns a path of this executable: its name, if that is still the same file, and
// otherwise, as for one in memory, a path that works while this process runs.
var SelfPath = sync.OnceValue(func() string {
	path, err := os.Readlink(ownLink)
	if err == nil {
		named, namedErr := os.Stat(path)
		own, ownErr := os.Stat(ownLink)
		if namedErr == nil && ownErr == nil && os.SameFile(named, own) {
			return path
		}
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ownDescriptor())
})

// unusual is a number that hardly any process has as a descriptor. The path outlives the
// process, and its PID is used again: with /proc/PID/exe, a tool that looks for ssh would then
// execute another program.
const unusual = 911

// ownDescriptor opens this executable, and never closes it.
func ownDescriptor() int {
	fd, err := unix.Open(ownLink, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, unusual)
	if err != nil {
		return fd // so few may be open here
	}
	unix.Close(fd)
	return high
}

// executedAs returns the path by which this program was executed, which the kernel puts into
// its memory. os.Args[0] has no directory if the program was found in PATH.
func executedAs() string {
	auxiliary, err := unix.Auxv()
	if err != nil {
		return os.Args[0]
	}
	const pathOfExec = 31 // AT_EXECFN
	for _, a := range auxiliary {
		if a[0] != pathOfExec {
			continue
		}
		mem, err := os.Open("/proc/self/mem")
		if err != nil {
			break
		}
		defer mem.Close()
		b := make([]byte, unix.PathMax)
		n, _ := mem.ReadAt(b, int64(a[1])) // less where the memory ends
		if path, _, ok := bytes.Cut(b[:n], []byte{0}); ok {
			return string(path)
		}
	}
	return os.Args[0]
}
