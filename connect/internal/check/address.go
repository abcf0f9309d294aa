package check

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/printable"
)

// Address splits [USER@]HOST[:PORT]. An IPv6 address with a port has to be in brackets.
func Address(s string) (user, host string, port int, err error) {
	host = s
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		user, host = s[:at], s[at+1:]
		if err := User(user); err != nil {
			return "", "", 0, err
		}
	}
	// An address without brackets has more than one colon, and no port.
	bracketed := strings.HasPrefix(host, "[")
	if bare, ok := strings.CutSuffix(host, "]"); ok && bracketed {
		host = bare[1:]
	} else if bracketed || strings.Count(host, ":") == 1 {
		var text string
		if host, text, err = net.SplitHostPort(host); err != nil {
			return "", "", 0, fmt.Errorf("%w: %w", connect.ErrBadName, err)
		}
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return "", "", 0, fmt.Errorf("%w: %q is not a port", connect.ErrBadName, printable.Name(text))
		}
	}
	if err = Host(host); err == nil && strings.Contains(host, ":") {
		if _, err = netip.ParseAddr(host); err != nil {
			err = fmt.Errorf("%w: %q is no address", connect.ErrBadName, printable.Name(host))
		}
	}
	return user, host, port, err
}

// HostPort joins host and port, with brackets around an IPv6 address.
func HostPort(host string, port int) string {
	return net.JoinHostPort(host, strconv.Itoa(port))
}
