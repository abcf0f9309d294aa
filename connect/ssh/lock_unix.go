//go:build unix

package ssh

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockFile takes the file's exclusive lock until f is closed. The lock belongs
// to the open file, so it also orders the goroutines of one process. It is held for
// microseconds. If it can't be had within five seconds, its holder is stuck, and lockFile
// fails.
func lockFile(f *os.File) error {
	for range 500 {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case nil:
			return nil
		case unix.EINTR, unix.EWOULDBLOCK:
			time.Sleep(10 * time.Millisecond)
		default:
			return err
		}
	}
	return os.ErrDeadlineExceeded
}
