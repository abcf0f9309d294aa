package connect

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Temporary reports whether a hop that failed may work a little later without anybody's
// help: the host was down or out of reach, or the connection broke. It understands the errors
// of hops that other contexts made. It returns false for lasting causes, such as passwords,
// keys, rights, names that don't exist and missing tools, and for unknown ones.
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
