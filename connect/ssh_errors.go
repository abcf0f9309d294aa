package connect

import (
	"context"
	"fmt"
)

// fail says where an error happened: the hop, and how far the connection had come.
func (d *sshDial) fail(phase sshPhase, err error) error {
	return &Error{Hop: d.label, Phase: phase.String(), Err: err}
}

// classified gives an error a class without putting the class's words in front
// of those that say it better.
type classified struct {
	class, err error
}

func classify(class, err error) error { return &classified{class, err} }

func (c *classified) Error() string   { return c.err.Error() }
func (c *classified) Unwrap() []error { return []error{c.class, c.err} }

func badDestination(text string) error {
	return fmt.Errorf("%w: %q is not [user@]host[:port]", ErrBadName, text)
}

// checkNames refuses names that would mean something else than a name to a
// program or a protocol. They are checked twice: as they were given, before they go to
// `ssh -G`, and as the configuration has them.
func checkNames(host, user string) error {
	if err := checkHost(host); err != nil {
		return err
	}
	if user == "" {
		return nil
	}
	return checkUser(user)
}

// wait returns when it is our turn to start a handshake with a server, which
// is when fewer than it tolerates are under way from this process.
func (d *sshDial) wait(ctx context.Context, set *sshSettings) (release func(), err error) {
	release, err = handshakes.wait(ctx, hostPort(set.host, set.port))
	if err != nil {
		return nil, fmt.Errorf("%w: waiting for %d other handshakes with %s", contextError(ctx), maxHandshakes, hostPort(set.host, set.port))
	}
	return release, nil
}
