//go:build unix && !solaris

package journal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock keeps other processes out until the file is closed.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}
