//go:build linux || darwin || freebsd

package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/exec"
	"strings"
	"syscall"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// failure is an error with the kind under which a client is told of it.
type failure struct {
	kind string
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usage is an error of the one who wrote the client.
func usage(format string, args ...any) error {
	return &failure{"usage", fmt.Errorf(format, args...)}
}

func isFailure(err error) bool {
	_, ok := errors.AsType[*failure](err)
	return ok
}

// kinds are the kinds of errors, the first that matches first.
var kinds = []struct {
	class error
	kind  string
}{
	{errCancelled, "cancelled"},
	{errClientLeft, "cancelled"},
	{context.DeadlineExceeded, "timeout"},
	{contexts.ErrIdle, "idle"},
	{exec.ErrWaitDelay, "incomplete"},
	{ErrNotAllowed, "refused"},
	{errEvicted, "busy"},
	{connect.ErrHostKey, "host_key"},
	{connect.ErrPassword, "password"},
	{connect.ErrPasswordRequired, "password_required"},
	{connect.ErrNoHost, "no_host"},
	{connect.ErrUnreachable, "unreachable"},
	{connect.ErrRefused, "unreachable"},
	{connect.ErrTimeout, "unreachable"},
	{syscall.ECONNREFUSED, "unreachable"},
	{syscall.EHOSTUNREACH, "unreachable"},
	{syscall.ENETUNREACH, "unreachable"},
	{syscall.ETIMEDOUT, "unreachable"},
	{connect.ErrBadName, "usage"},
	{contexts.ErrGone, "gone"},
	{contexts.ErrUnavailable, "unreachable"},
	{contexts.ErrBusy, "busy"},
	{contexts.ErrRefused, "refused"},
	{contexts.ErrClosed, "closed"},
	{errStopped, "closed"},
	{errIdle, "closed"},
	{errSocketGone, "closed"},
	{exec.ErrNotFound, "not_found"},
	{fs.ErrNotExist, "not_found"},
	{fs.ErrPermission, "permission"},
	{syscall.ENOTEMPTY, "not_empty"},
	{fs.ErrExist, "exists"},
	{syscall.ENOTDIR, "not_directory"},
	{errors.ErrUnsupported, "unsupported"},
	{contexts.ErrUnknownFunc, "not_found"},
}

// failureOf finds the kind of an error.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return &failure{f.kind, err}
	}
	for _, k := range kinds {
		if errors.Is(err, k.class) {
			return &failure{k.kind, err}
		}
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return &failure{"no_host", err}
	}
	if _, ok := errors.AsType[*connect.Error](err); ok {
		return &failure{"connect", err}
	}
	return &failure{"error", err}
}

// frame returns the last frame of a request that has failed.
func (f *failure) frame() *wire.BrokerFrame {
	no := false
	e := &wire.Error{Kind: f.kind, Message: shorten(f.err.Error(), maxMessage), Temporary: f.kind == "busy" || connect.Temporary(f.err)}
	if at, ok := errors.AsType[*contexts.Error](f.err); ok {
		e.Path = shorten(at.Path, maxMessage)
	}
	return &wire.BrokerFrame{OK: &no, Error: e}
}

// okFrame returns the last frame of a request that has succeeded, to which results are added.
func okFrame() *wire.BrokerFrame {
	yes := true
	return &wire.BrokerFrame{OK: &yes}
}

// maxMessage bounds the text of an error, in bytes: what a request or a function says may be in it, and
// the frame must not get too large.
const maxMessage = 16 << 10

// shorten cuts a text that is too long.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	const mark = "..."
	return strings.ToValidUTF8(s[:most-len(mark)], "") + mark
}
