package failure

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/mitosis-go/mitosis/connect"
)

// OfDial returns the error of a dial with its class.
func OfDial(err error) error {
	class := networkClass(err)
	if class == nil {
		class = connect.ErrStart
	}
	if errors.Is(err, class) {
		return err
	}
	return Classify(class, err)
}

// networkClass returns the class of an error of package net, of this host or another; nil if
// the error is not about the network.
func networkClass(err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return connect.ErrNoHost
		}
		return connect.ErrResolver
	}
	for _, c := range [...]struct{ reason, class error }{
		{syscall.ECONNREFUSED, connect.ErrRefused},
		{syscall.ETIMEDOUT, connect.ErrTimeout}, {context.DeadlineExceeded, connect.ErrTimeout}, {os.ErrDeadlineExceeded, connect.ErrTimeout},
		{syscall.EHOSTUNREACH, connect.ErrUnreachable}, {syscall.ENETUNREACH, connect.ErrUnreachable},
		{syscall.EHOSTDOWN, connect.ErrUnreachable}, {syscall.ENETDOWN, connect.ErrUnreachable},
		// This host has no address that reaches the other: IPv6 without a network.
		{syscall.EADDRNOTAVAIL, connect.ErrUnreachable},
	} {
		if errors.Is(err, c.reason) {
			return c.class
		}
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return connect.ErrTimeout
	}
	return nil
}

// networkSayings are the texts of C libraries and of Go for failures on the way to a host, in
// lower case, the most precise first.
var networkSayings = []Saying{
	Says("open failed: administratively prohibited", connect.ErrPermission, ""), // ssh -W and -J
	Says("temporary failure in name resolution", connect.ErrResolver, ""),
	Says("server misbehaving", connect.ErrResolver, ""),              // Go
	Says("could not resolve host", connect.ErrNoHost, ""),            // ssh, curl
	Says("name or service not known", connect.ErrNoHost, ""),         // glibc
	Says("nodename nor servname provided", connect.ErrNoHost, ""),    // BSD, macOS
	Says("no address associated with", connect.ErrNoHost, ""),        // hostname, or name
	Says("name does not resolve", connect.ErrNoHost, ""),             // musl
	Says("name does not exist", connect.ErrNoHost, ""),               // gai of the BSDs, resolved
	Says("no such host", connect.ErrNoHost, ""),                      // Go, Windows
	Says("unknown host", connect.ErrNoHost, ""),                      // netcat
	Says("connection refused", connect.ErrRefused, ""),               //
	Says("no route to host", connect.ErrUnreachable, ""),             //
	Says("network is unreachable", connect.ErrUnreachable, ""),       //
	Says("network unreachable", connect.ErrUnreachable, ""),          //
	Says("host is unreachable", connect.ErrUnreachable, ""),          // musl
	Says("host unreachable", connect.ErrUnreachable, ""),             // proxies
	Says("network is down", connect.ErrUnreachable, ""),              //
	Says("host is down", connect.ErrUnreachable, ""),                 //
	Says("assign requested address", connect.ErrUnreachable, ""),     // Cannot, or can't
	Says("address not available", connect.ErrUnreachable, ""),        // musl
	Says("timed out", connect.ErrTimeout, ""),                        // Connection, or Operation
	Says("i/o timeout", connect.ErrTimeout, ""),                      // Go
	Says("connection timeout", connect.ErrTimeout, ""),               //
	Says("failed to respond after a period", connect.ErrTimeout, ""), // Windows
	Says("open failed: connect failed", connect.ErrUnreachable, ""),  // ssh -W and -J; the server does not say more
}

// Network returns the class of the words of a tool or a server about the way to a host; nil if
// there are none.
func Network(said ...string) error { return Meaning(said, networkSayings).Class }
