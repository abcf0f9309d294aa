package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
)

// hop is one element of a hop path.
type hop struct {
	kind, user, host string
	port             int
}

// parseHops reads hop paths as they are written on the command line and shown
// in errors, for example "ssh:deploy@web1:2222/sudo:root/local". Several
// arguments are one path.
func parseHops(args []string) ([]connect.Method, error) {
	var methods []connect.Method
	for _, element := range strings.Split(strings.Join(args, "/"), "/") {
		h, err := parseHop(element)
		if err != nil {
			return nil, err
		}
		m, err := h.method()
		if err != nil {
			return nil, fmt.Errorf("%q: %w", element, err)
		}
		methods = append(methods, m)
	}
	return methods, nil
}

// parseHop takes one element apart: kind[:[user@]host[:port]].
func parseHop(s string) (hop, error) {
	var h hop
	kind, rest, _ := strings.Cut(s, ":")
	h.kind = kind
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		h.user, rest = rest[:at], rest[at+1:]
	}
	h.host = rest
	// An IPv6 address without brackets has more than one colon and no port.
	if strings.HasPrefix(rest, "[") || strings.Count(rest, ":") == 1 {
		host, port, err := net.SplitHostPort(rest)
		if err != nil {
			if bare, ok := strings.CutSuffix(strings.TrimPrefix(rest, "["), "]"); ok {
				h.host = bare
				return h, nil
			}
			return h, fmt.Errorf("%q: %w", s, err)
		}
		h.host = host
		if h.port, err = strconv.Atoi(port); err != nil || h.port < 1 || h.port > 65535 {
			return h, fmt.Errorf("%q: %q is not a port", s, port)
		}
	}
	return h, nil
}

// method makes the hop that the element stands for. What a name may contain
// is checked where the hop is made.
func (h hop) method() (connect.Method, error) {
	switch h.kind {
	case "ssh":
		return connect.SSH{Host: h.host, User: h.user, Port: h.port}, nil
	case "openssh":
		return connect.OpenSSH{Host: h.host, User: h.user, Port: h.port}, nil
	case "sudo":
		if h.user != "" || h.port != 0 {
			return nil, fmt.Errorf("a sudo hop is written sudo or sudo:USER")
		}
		return connect.Sudo{User: h.host}, nil
	case "local":
		if h.host != "" || h.user != "" {
			return nil, fmt.Errorf("a local hop takes nothing")
		}
		return connect.Local{}, nil
	}
	return nil, fmt.Errorf("no such kind of hop; there are ssh, openssh, sudo and local")
}
