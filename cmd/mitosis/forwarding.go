package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/mitosis-go/mitosis/internal/tunnel"
)

// endpoint is where connections come in or go to. The zero endpoint is none.
type endpoint struct{ network, addr string }

// forwarding is an option -L, -R or -D.
type forwarding struct {
	option byte // L, R or D
	listen endpoint
	target endpoint // none: clients name it, by SOCKS
}

func (f *forwarding) String() string {
	return fmt.Sprintf("-%c %s", f.option, f.listen.addr)
}

// defaultBind is the host at which a forwarding listens unless another is given.
const defaultBind = "localhost"

// parseForwarding reads what stands behind -L, -R or -D.
func parseForwarding(option byte, s string) (forwarding, error) {
	f := forwarding{option: option}
	listen, target, err := tunnel.ParseSpec(s, parsePort)
	if err != nil {
		return f, err
	}
	hasTarget := target != tunnel.End{}
	switch {
	case !hasTarget && option == 'L':
		return f, errors.New("where to? Give [BIND:]PORT:HOST:PORT")
	case hasTarget && option == 'D':
		return f, errors.New("the client says where to: [BIND:]PORT is all that is wanted")
	case hasTarget:
		f.target = endpointOf(target)
	}
	if !listen.HasHost {
		listen.Host = defaultBind
	} else if listen.Host == "*" {
		listen.Host = ""
	}
	f.listen = endpointOf(listen)
	return f, nil
}

func endpointOf(e tunnel.End) endpoint {
	if e.Path != "" {
		return endpoint{"unix", e.Path}
	}
	return endpoint{"tcp", net.JoinHostPort(e.Host, strconv.Itoa(e.Port))}
}

// parsePort takes numbers only: the name of a service may mean different ports at
// different hosts.
func parsePort(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port", s)
	}
	return int(n), nil
}
