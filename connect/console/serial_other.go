//go:build !(linux && !ppc && !ppc64 && !ppc64le && !sparc64) && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package console

import (
	"errors"
	"fmt"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
)

// openSerial fails: on this system only sockets and terminal servers work.
func openSerial(path string, _ int, _ bool) (portConn, error) {
	return nil, failure.Classify(connect.ErrStart, fmt.Errorf("serial port %s: %w", path, errors.ErrUnsupported))
}
