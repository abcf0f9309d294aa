//go:build !linux && !darwin && !freebsd

package attach

import (
	"errors"
	"net"
)

type socket struct {
	net.Listener
	path string
}

// bind fails on systems that do not tell which user connects.
func bind(string) (*socket, error) { return nil, errors.ErrUnsupported }
