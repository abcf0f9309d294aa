//go:build unix && (race || !linux)

package pipe

import "syscall"

// On other systems system calls go through the C library, and the scheduler is told of them.
// With the race detector it is package syscall that tells it in which order a pipe puts
// reads and writes.

func readNow(fd uintptr, b []byte) (n int, wait bool) {
	n, err := syscall.Read(int(fd), b)
	return n, err == syscall.EAGAIN
}

func writeNow(fd uintptr, b []byte) int {
	n, _ := syscall.Write(int(fd), b)
	return n
}
