package ssh

import (
	"context"
	"fmt"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/pacing"
)

// fail adds the hop and the phase to an error.
func (d *dial) fail(phase phase, err error) error {
	return &connect.Error{Hop: d.label, Phase: phase.String(), Err: err}
}

func badDestination(text string) error {
	return fmt.Errorf("%w: %q is not [user@]host[:port]", connect.ErrBadName, text)
}

// wait waits for the turn to start a handshake. This process keeps fewer handshakes under way
// with one server than that tolerates.
func (d *dial) wait(ctx context.Context, set *settings) (release func(), err error) {
	release, err = pacing.Handshakes.Wait(ctx, check.HostPort(set.host, set.port), func() { d.tell(phaseTurn) })
	if err != nil {
		return nil, fmt.Errorf("%w: waiting for %d other handshakes with %s", contextError(ctx), pacing.MaxHandshakes, check.HostPort(set.host, set.port))
	}
	return release, nil
}
