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

// inside is a hop into a lab host without any login, for tests that are about
// the hops behind it. It is also an example of a method that a user writes.
// It can be used in the test process only, and so it need not travel.
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
	// The opening's ctx is not the life of the tool.
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
	io.WriteCloser // Write only; Close is ours
	cmd            *lab.Cmd

	once sync.Once
	err  error
}

// Cause implements bootstrap.Carrier.
func (c *insideCarrier) Cause(context.Context) error { return nil }

// Close implements bootstrap.Carrier. The far side sees the end of its input
// and its guard would end it; the signal makes sure of it.
func (c *insideCarrier) Close() error {
	c.once.Do(func() {
		c.err = c.WriteCloser.Close()
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait() // it was killed, which is an error
	})
	return c.err
}

// enter starts a context in a host without a login.
func enter(t *testing.T, self *contexts.Node, host *lab.Running, user string) *contexts.Node {
	t.Helper()
	return child(t, self, inside{host, user})
}
