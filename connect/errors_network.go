package connect

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// dialError gives a failure to connect its class.
func dialError(err error) error {
	class := networkClass(err)
	if class == nil {
		class = ErrStart
	}
	if errors.Is(err, class) {
		return err
	}
	return classify(class, err)
}

// networkClass is the class of an error of package net, at this host or another; nil for
// one that has nothing to do with the network.
func networkClass(err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return ErrNoHost
		}
		return ErrResolver
	}
	for _, c := range [...]struct{ reason, class error }{
		{syscall.ECONNREFUSED, ErrRefused},
		{syscall.ETIMEDOUT, ErrTimeout}, {context.DeadlineExceeded, ErrTimeout}, {os.ErrDeadlineExceeded, ErrTimeout},
		{syscall.EHOSTUNREACH, ErrUnreachable}, {syscall.ENETUNREACH, ErrUnreachable},
		{syscall.EHOSTDOWN, ErrUnreachable}, {syscall.ENETDOWN, ErrUnreachable},
		// There is no address of ours from which the other could be reached: IPv6 without a network.
		{syscall.EADDRNOTAVAIL, ErrUnreachable},
	} {
		if errors.Is(err, c.reason) {
			return c.class
		}
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return ErrTimeout
	}
	return nil
}

// networkSayings are how C libraries and Go name what can go wrong on the way to a
// host, in lower case, the most telling first.
var networkSayings = []saying{
	{"open failed: administratively prohibited", verdict{class: ErrPermission}}, // ssh -W and -J
	{"temporary failure in name resolution", verdict{class: ErrResolver}},
	{"server misbehaving", verdict{class: ErrResolver}},              // Go
	{"could not resolve host", verdict{class: ErrNoHost}},            // ssh, curl
	{"name or service not known", verdict{class: ErrNoHost}},         // glibc
	{"nodename nor servname provided", verdict{class: ErrNoHost}},    // BSD, macOS
	{"no address associated with", verdict{class: ErrNoHost}},        // hostname, or name
	{"name does not resolve", verdict{class: ErrNoHost}},             // musl
	{"name does not exist", verdict{class: ErrNoHost}},               // gai of the BSDs, resolved
	{"no such host", verdict{class: ErrNoHost}},                      // Go, Windows
	{"unknown host", verdict{class: ErrNoHost}},                      // netcat
	{"connection refused", verdict{class: ErrRefused}},               //
	{"no route to host", verdict{class: ErrUnreachable}},             //
	{"network is unreachable", verdict{class: ErrUnreachable}},       //
	{"network unreachable", verdict{class: ErrUnreachable}},          //
	{"host is unreachable", verdict{class: ErrUnreachable}},          // musl
	{"host unreachable", verdict{class: ErrUnreachable}},             // proxies
	{"network is down", verdict{class: ErrUnreachable}},              //
	{"host is down", verdict{class: ErrUnreachable}},                 //
	{"assign requested address", verdict{class: ErrUnreachable}},     // Cannot, or can't
	{"address not available", verdict{class: ErrUnreachable}},        // musl
	{"timed out", verdict{class: ErrTimeout}},                        // Connection, or Operation
	{"i/o timeout", verdict{class: ErrTimeout}},                      // Go
	{"connection timeout", verdict{class: ErrTimeout}},               //
	{"failed to respond after a period", verdict{class: ErrTimeout}}, // Windows
	{"open failed: connect failed", verdict{class: ErrUnreachable}},  // ssh -W and -J; the server does not say more
}

// networkMeaning is the class of what a tool or a server said about the way to a
// host; nil where it said nothing of the kind.
func networkMeaning(said ...string) error { return meaning(said, networkSayings).class }

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
