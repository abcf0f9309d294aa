// Package disk does what a copy does with one file system: it finds the file that has
// a target's name, makes the file that takes its place or writes into it, and gives
// files their owner, permissions, access control list and times. What a system or a
// file system can't do is decided here; what the options of a copy want is not.
package disk

import (
	"io/fs"
	"os"
)

// Reason takes off the operation and the name that package os has put around an
// error: names relative to a directory that was opened before mean nothing to callers.
func Reason(err error) error {
	for {
		switch e := err.(type) {
		case *fs.PathError:
			err = e.Err
		case *os.LinkError:
			err = e.Err
		case *os.SyscallError:
			err = e.Err
		default:
			return err
		}
	}
}
