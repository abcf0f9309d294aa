//go:build linux

package integration

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// inside is a hop into a lab host without a login, for tests of the hops behind it. It is also an
// example of a method that a user writes. It works only in the test process, so it never travels.
type inside struct {
	host *lab.Running
	user string // "" is root
}

func (i inside) Label() string        { return "lab:" + i.host.Name() }
func (inside) Traits() connect.Traits { return connect.Traits{} }

func (i inside) Open(_ context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	user := i.user
	if user == "" {
		user = "root"
	}
	// ctx bounds only the opening: the tool lives longer.
	cmd := i.host.CommandAs(context.Background(), user, e.Argv...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", connect.ErrStart, err)
	}
	return &insideCarrier{Reader: stdout, WriteCloser: stdin, cmd: cmd}, nil
}

type insideCarrier struct {
	io.Reader
	io.WriteCloser // only its Write is used: the carrier has a Close of its own
	cmd            *lab.Cmd

	once sync.Once
	err  error
}

// Cause implements bootstrap.Carrier.
func (c *insideCarrier) Cause(context.Context) error { return nil }

// Close implements bootstrap.Carrier. The guard at the far side sees the end of its input and
// ends the child. The signal ends the far side even without that.
func (c *insideCarrier) Close() error {
	c.once.Do(func() {
		c.err = c.WriteCloser.Close()
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait() // its error is that the tool was killed
	})
	return c.err
}

// enter starts a context in a host without a login.
func enter(t *testing.T, self *contexts.Node, host *lab.Running, user string) *contexts.Node {
	t.Helper()
	return child(t, self, inside{host, user})
}
