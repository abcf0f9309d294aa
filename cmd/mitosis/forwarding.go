package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/internal/tunnel"
)

// endpoint is where connections come in or go to. The zero endpoint is none.
type endpoint struct{ network, addr string }

// forwarding is one that is wanted, as ssh writes it.
type forwarding struct {
	option byte // L, R or D
	listen endpoint
	target endpoint // none: the client names it, by SOCKS
}

func (f *forwarding) String() string {
	return fmt.Sprintf("-%c %s", f.option, f.listen.addr)
}

// defaultBind is where is listened unless it is said.
const defaultBind = "localhost"

// parseForwarding reads what stands behind -L, -R or -D.
func parseForwarding(option byte, s string) (forwarding, error) {
	fields, err := tunnel.Fields(s)
	if err != nil {
		return forwarding{}, err
	}
	// A path is an endpoint by itself. The last endpoint is the target, unless
	// there is but one.
	var ends []endpoint
	bind := defaultBind
	for len(fields) > 0 {
		first := fields[0]
		switch {
		case strings.HasPrefix(first, "/"):
			ends, fields = append(ends, endpoint{"unix", first}), fields[1:]
			continue
		case len(ends) > 0: // HOST:PORT
			if len(fields) < 2 {
				return forwarding{}, errors.New("a target is HOST:PORT or the path of a socket")
			}
			if first == "" {
				return forwarding{}, errors.New("the target has no host")
			}
			if err := checkPort(fields[1], 1); err != nil {
				return forwarding{}, err
			}
			ends, fields = append(ends, endpoint{"tcp", net.JoinHostPort(first, fields[1])}), fields[2:]
			continue
		}
		// [BIND:]PORT, and behind that nothing, a path or HOST:PORT.
		if n := len(fields); n == 2 && !strings.HasPrefix(fields[1], "/") || n == 3 && strings.HasPrefix(fields[2], "/") || n > 3 {
			bind, fields = first, fields[1:]
		}
		if bind == "*" {
			bind = ""
		}
		if err := checkPort(fields[0], 0); err != nil {
			return forwarding{}, err
		}
		ends, fields = append(ends, endpoint{"tcp", net.JoinHostPort(bind, fields[0])}), fields[1:]
	}
	f := forwarding{option: option, listen: ends[0]}
	switch {
	case len(ends) > 2:
		return f, errors.New("there are too many fields")
	case len(ends) == 1 && option == 'L':
		return f, errors.New("where to? [BIND:]PORT:HOST:PORT is wanted")
	case len(ends) == 2 && option == 'D':
		return f, errors.New("the client says where to: [BIND:]PORT is all that is wanted")
	case len(ends) == 2:
		f.target = ends[1]
	}
	return f, nil
}

// checkPort takes numbers only: what the name of a service means may differ from
// host to host.
func checkPort(s string, least uint64) error {
	if n, err := strconv.ParseUint(s, 10, 16); err != nil || n < least {
		return fmt.Errorf("%q is not a port", s)
	}
	return nil
}
