package connect

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Temporary reports whether a hop that failed may work a little later although
// nobody does anything about it: the host is not up, or out of reach for the moment,
// or it broke off. It holds for errors of any depth. It is false for what stays:
// passwords, keys and rights, names that don't exist, tools that are missing; and
// for what is not known.
func Temporary(err error) bool {
	for _, lasts := range [...]error{ErrPassword, ErrPasswordRequired, ErrPermission, ErrHostKey, ErrBadName} {
		if errors.Is(err, lasts) {
			return false
		}
	}
	for _, passes := range [...]error{
		ErrUnreachable, ErrResolver, ErrRefused, ErrTimeout, ErrEOF,
		bootstrap.ErrImageHash, context.DeadlineExceeded, os.ErrDeadlineExceeded,
		io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE,
	} {
		if errors.Is(err, passes) {
			return true
		}
	}
	return false
}
