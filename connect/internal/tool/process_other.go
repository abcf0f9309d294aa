//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd && !solaris

package tool

import (
	"context"
	"errors"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
)

// Start fails: tools need terminals and process groups, which this system does not have.
func Start(_ context.Context, _ *connect.OpenRequest, t *Tool) (bootstrap.Carrier, error) {
	return nil, &connect.Error{Hop: t.Hop, Phase: "starting " + t.Program, Err: failure.Classify(connect.ErrStart, errors.ErrUnsupported)}
}
