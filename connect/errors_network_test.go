package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/mitosis-go/mitosis/core"
)

// Each way in which a host can be out of reach is a class, by whatever it is dialled.
func TestClassesOfFailedDials(t *testing.T) {
	failed := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	for name, c := range map[string]struct{ err, want error }{
		"refused":        {failed(os.NewSyscallError("connect", syscall.ECONNREFUSED)), ErrRefused},
		"no route":       {failed(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), ErrUnreachable},
		"no network":     {failed(os.NewSyscallError("connect", syscall.ENETUNREACH)), ErrUnreachable},
		"no address":     {failed(os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)), ErrUnreachable},
		"silence":        {failed(os.NewSyscallError("connect", syscall.ETIMEDOUT)), ErrTimeout},
		"deadline":       {failed(os.ErrDeadlineExceeded), ErrTimeout},
		"no such name":   {failed(&net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}), ErrNoHost},
		"silent DNS":     {failed(&net.DNSError{Err: "i/o timeout", Name: "h", IsTimeout: true}), ErrResolver},
		"broken DNS":     {failed(&net.DNSError{Err: "server misbehaving", Name: "h", IsTemporary: true}), ErrResolver},
		"something else": {failed(syscall.EINVAL), ErrStart},
	} {
		// The reason comes from another host as well, by a dialer of its own.
		far := failed(core.DecodeError(core.EncodeError(errors.Unwrap(c.err))))
		for where, err := range map[string]error{"here": dialError(c.err), "far": dialError(far)} {
			if name == "no such name" || name == "silent DNS" || name == "broken DNS" {
				if where == "far" {
					continue // by contexts, which register the type
				}
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %q is not %q", name, where, err, c.want)
			}
			for _, other := range []error{ErrStart, ErrRefused, ErrUnreachable, ErrTimeout, ErrNoHost} {
				if other != c.want && errors.Is(err, other) && !errors.Is(c.want, other) {
					t.Errorf("%s, %s: %q is also %q", name, where, err, other)
				}
			}
		}
	}
}

// What ssh says in the end, word by word. Where it goes by a jump host or a proxy
// command, what these have said comes before.
func TestClassesOfWhatSSHSays(t *testing.T) {
	closed := []string{"kex_exchange_identification: Connection closed by remote host", "Connection closed by UNKNOWN port 65535"}
	for _, c := range []struct {
		said []string
		want error
	}{
		{[]string{"ssh: connect to host 10.0.0.9 port 22: Connection refused"}, ErrRefused},
		{[]string{"ssh: connect to host 10.0.0.9 port 22: No route to host"}, ErrUnreachable},
		{[]string{"ssh: connect to host 10.0.0.9 port 22: Network is unreachable"}, ErrUnreachable},
		{[]string{"ssh: connect to host fe80::1%eth0 port 22: Cannot assign requested address"}, ErrUnreachable},
		{[]string{"ssh: connect to host 10.0.0.9 port 22: Host is down"}, ErrUnreachable},
		{[]string{"ssh: connect to host 10.0.0.9 port 22: Connection timed out"}, ErrTimeout},
		{[]string{"ssh: connect to host 10.0.0.9 port 22: Operation timed out"}, ErrTimeout},
		{[]string{"Connection timed out during banner exchange", "Connection to 10.0.0.9 port 22 timed out"}, ErrTimeout},
		{[]string{"ssh: Could not resolve hostname h: Name or service not known"}, ErrNoHost},
		{[]string{"ssh: Could not resolve hostname h: nodename nor servname provided, or not known"}, ErrNoHost},
		{[]string{"ssh: Could not resolve hostname h: Temporary failure in name resolution"}, ErrResolver},
		// The jump host's ssh, then ours.
		{append([]string{"channel 0: open failed: connect failed: Connection refused", "stdio forwarding failed"}, closed...), ErrRefused},
		{append([]string{"channel 0: open failed: connect failed: No route to host", "stdio forwarding failed"}, closed...), ErrUnreachable},
		{append([]string{"channel 0: open failed: connect failed: Name or service not known", "stdio forwarding failed"}, closed...), ErrNoHost},
		{append([]string{"channel 0: open failed: connect failed: Connection timed out", "stdio forwarding failed"}, closed...), ErrTimeout},
		{append([]string{"channel 0: open failed: connect failed: open failed", "stdio forwarding failed"}, closed...), ErrUnreachable},
		{append([]string{"channel 0: open failed: administratively prohibited: open failed", "stdio forwarding failed"}, closed...), ErrPermission},
		{append([]string{"ssh: Could not resolve hostname jump: Name or service not known"}, closed...), ErrNoHost},
		{append([]string{"ssh: connect to host jump port 22: Connection refused"}, closed...), ErrRefused},
		{append([]string{"u@jump: Permission denied (publickey)."}, closed...), ErrPermission},
		{append([]string{"Host key verification failed."}, closed...), ErrHostKeyUnknown},
		{[]string{"Received disconnect from 10.0.0.9 port 22:2: Too many authentication failures", "Disconnected from 10.0.0.9 port 22"}, ErrPermission},
		// Proxy commands: nc of OpenBSD, ncat, socat.
		{append([]string{"nc: connect to 10.0.0.9 port 22 (tcp) failed: Connection refused"}, closed...), ErrRefused},
		{append([]string{`nc: getaddrinfo for host "h" port 22: Name or service not known`}, closed...), ErrNoHost},
		{append([]string{"Ncat: No route to host."}, closed...), ErrUnreachable},
		{append([]string{"2026/01/02 03:04:05 socat[7] E connect(5, AF=2 10.0.0.9:22, 16): Connection timed out"}, closed...), ErrTimeout},
		// The first of two addresses does not decide it.
		{[]string{"debug1: connect to address ::1 port 22: Connection refused", "Connection closed by 127.0.0.1 port 22"}, ErrEOF},
		{closed, ErrEOF},
	} {
		how := ending{status: exited255(t), said: c.said}
		if got := explainSSH(false)(how).class; !errors.Is(got, c.want) {
			t.Errorf("%q is %v, wanted %v", c.said, got, c.want)
		}
	}
}

// exited255 is the status of a program that ended like an ssh that failed.
func exited255(t *testing.T) *os.ProcessState {
	t.Helper()
	cmd := exec.Command("sh", "-c", "exit 255")
	_ = cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 255 {
		t.Fatalf("the shell ended with %v", cmd.ProcessState)
	}
	return cmd.ProcessState
}

// Whether another attempt makes sense is known at any depth.
func TestTemporary(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{ErrUnreachable, true}, {ErrRefused, true}, {ErrTimeout, true}, {ErrEOF, true}, {ErrResolver, true},
		{fmt.Errorf("%w: %w", ErrTimeout, context.DeadlineExceeded), true},
		{context.DeadlineExceeded, true}, {io.ErrUnexpectedEOF, true}, {syscall.ECONNRESET, true},
		{ErrNoHost, false}, {ErrPassword, false}, {ErrPasswordRequired, false}, {ErrPermission, false},
		{ErrHostKey, false}, {ErrHostKeyUnknown, false}, {ErrHostKeyChanged, false}, {ErrBadName, false},
		{ErrStart, false}, {ErrNoRuntime, false}, {context.Canceled, false}, {errors.New("?"), false}, {nil, false},
		// The connection ended because of what does not pass.
		{fmt.Errorf("%w: %w", ErrEOF, ErrPermission), false},
	} {
		err := error(&Error{Hop: "ssh:h", Phase: "dial", Err: c.err})
		if c.err == nil {
			err = nil
		}
		for depth := range 3 {
			if got := Temporary(err); got != c.want {
				t.Errorf("%v, %d hops away: %v, wanted %v", c.err, depth, got, c.want)
			}
			if err == nil {
				break
			}
			err = core.DecodeError(core.EncodeError(err))
		}
	}
}
