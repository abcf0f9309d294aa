//go:build !(linux && !ppc && !ppc64 && !ppc64le && !sparc64) && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package connect

import (
	"errors"
	"fmt"
)

// openSerial knows no ports here; sockets work.
func openSerial(path string, _ int, _ bool) (lineConn, error) {
	return nil, classify(ErrStart, fmt.Errorf("serial port %s: %w", path, errors.ErrUnsupported))
}
