// Package descriptor works with the descriptors of files where package os has no method. It
// does not make them blocking, so that deadlines still hold.
package descriptor

import (
	"cmp"
	"syscall"
)

// Control runs f with the descriptor of a file or a connection. Fd would make that of a file
// blocking.
func Control(c syscall.Conn, f func(fd int) error) error {
	conn, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = conn.Control(func(fd uintptr) { inner = f(int(fd)) })
	return cmp.Or(err, inner)
}
