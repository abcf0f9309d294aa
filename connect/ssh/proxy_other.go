//go:build !linux

package ssh

import (
	"errors"
	"fmt"
	"net"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
)

// proxyConn does not exist where a process can't be made to die with us.
type proxyConn struct{ net.Conn }

func (*proxyConn) failure() error { return nil }

func startProxy(*connect.OpenRequest, string) (net.Conn, error) {
	return nil, failure.Classify(connect.ErrStart, fmt.Errorf("ProxyCommand: %w", errors.ErrUnsupported))
}
