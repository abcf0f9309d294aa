package failure

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/core"
)

// Each way in which a host can be out of reach is a class, by whatever it is dialled.
func TestClassesOfFailedDials(t *testing.T) {
	failed := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	for name, c := range map[string]struct{ err, want error }{
		"refused":        {failed(os.NewSyscallError("connect", syscall.ECONNREFUSED)), connect.ErrRefused},
		"no route":       {failed(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), connect.ErrUnreachable},
		"no network":     {failed(os.NewSyscallError("connect", syscall.ENETUNREACH)), connect.ErrUnreachable},
		"no address":     {failed(os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)), connect.ErrUnreachable},
		"silence":        {failed(os.NewSyscallError("connect", syscall.ETIMEDOUT)), connect.ErrTimeout},
		"deadline":       {failed(os.ErrDeadlineExceeded), connect.ErrTimeout},
		"no such name":   {failed(&net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}), connect.ErrNoHost},
		"silent DNS":     {failed(&net.DNSError{Err: "i/o timeout", Name: "h", IsTimeout: true}), connect.ErrResolver},
		"broken DNS":     {failed(&net.DNSError{Err: "server misbehaving", Name: "h", IsTemporary: true}), connect.ErrResolver},
		"something else": {failed(syscall.EINVAL), connect.ErrStart},
	} {
		// The reason comes from another host as well, by a dialer of its own.
		far := failed(core.DecodeError(core.EncodeError(errors.Unwrap(c.err))))
		for where, err := range map[string]error{"here": OfDial(c.err), "far": OfDial(far)} {
			if name == "no such name" || name == "silent DNS" || name == "broken DNS" {
				if where == "far" {
					continue // by contexts, which register the type
				}
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %q is not %q", name, where, err, c.want)
			}
			for _, other := range []error{connect.ErrStart, connect.ErrRefused, connect.ErrUnreachable, connect.ErrTimeout, connect.ErrNoHost} {
				if other != c.want && errors.Is(err, other) && !errors.Is(c.want, other) {
					t.Errorf("%s, %s: %q is also %q", name, where, err, other)
				}
			}
		}
	}
}
