//go:build !unix

package connect

import (
	"errors"
	"fmt"
	"net"
)

// proxyConn does not exist where there are no socket pairs.
type proxyConn struct{ net.Conn }

func (*proxyConn) failure() error { return nil }

func startProxy(*Env, string, string) (net.Conn, error) {
	return nil, fmt.Errorf("%w: ProxyCommand: %w", ErrStart, errors.ErrUnsupported)
}
