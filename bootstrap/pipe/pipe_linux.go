//go:build !race

package pipe

import (
	"syscall"
	"unsafe"
)

// readNow reads from a descriptor in non-blocking mode. wait reports that there is nothing to
// read yet. An error counts as the end of the file.
func readNow(fd uintptr, b []byte) (n int, wait bool) {
	r, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno == syscall.EAGAIN
	}
	return int(r), false
}

// writeNow writes to such a descriptor, and returns how many bytes it took.
func writeNow(fd uintptr, b []byte) int {
	r, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0
	}
	return int(r)
}
