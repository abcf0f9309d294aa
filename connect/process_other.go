//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd && !solaris

package connect

import (
	"context"
	"errors"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// startTool has no terminals and no process groups here.
func startTool(_ context.Context, _ *Env, t *tool) (bootstrap.Carrier, error) {
	return nil, &Error{Hop: t.hop, Phase: "starting " + t.program, Err: classify(ErrStart, errors.ErrUnsupported)}
}
