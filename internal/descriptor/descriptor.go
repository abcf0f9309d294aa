// Package descriptor does with the descriptor of a file what package os has no method
// for, and leaves its readers able to heed deadlines.
package descriptor

import (
	"cmp"
	"syscall"
)

// Control runs f with the descriptor of a file, which Fd would make blocking, or of a
// connection.
func Control(c syscall.Conn, f func(fd int) error) error {
	conn, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = conn.Control(func(fd uintptr) { inner = f(int(fd)) })
	return cmp.Or(err, inner)
}
