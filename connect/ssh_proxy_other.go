//go:build !linux

package connect

import (
	"errors"
	"fmt"
	"net"
)

// proxyConn does not exist where a process can't be made to die with us.
type proxyConn struct{ net.Conn }

func (*proxyConn) failure() error { return nil }

func startProxy(*Env, string) (net.Conn, error) {
	return nil, classify(ErrStart, fmt.Errorf("ProxyCommand: %w", errors.ErrUnsupported))
}
