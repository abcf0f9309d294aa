//go:build unix

package fakessh

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// agentPlace makes a private directory at the far side and sends its name. It removes the
// directory when the connection ends, for whatever reason.
var agentPlace = contexts.NewConnFunc("mitosis.fakessh.agent", func(_ context.Context, conn net.Conn, _ struct{}) error {
	dir, err := os.MkdirTemp("", "mitosis-agent-") // of mode 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := io.WriteString(conn, dir+"\n"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return err
})

// agentSocket returns the socket of the agent to forward, "" for none.
func (c *call) agentSocket() string {
	wanted := c.line.ForwardAgent
	if name, ok := strings.CutPrefix(wanted, "$"); ok {
		return c.env(name)
	}
	if wanted == "yes" {
		return c.env("SSH_AUTH_SOCK")
	}
	if rest, ok := strings.CutPrefix(wanted, "~/"); ok {
		return path.Join(c.env("HOME"), rest)
	}
	return wanted
}

// forwardAgent opens a socket at the far side that leads to the agent here, and returns the
// variable that names it. If that fails, the command runs without an agent, as with ssh.
//
// Goroutines: one accepts, and one serves each connection; end ends them and waits for all.
func (c *call) forwardAgent() (env []string, end func()) {
	agent := c.agentSocket()
	if agent == "" {
		return nil, func() {}
	}
	place, dir, err := c.agentDir()
	if err != nil {
		c.say(LevelError, "ssh: the agent can't be forwarded: %v", reason(err))
		return nil, func() {}
	}
	socket := path.Join(dir, "agent")
	ln, err := c.node.Listen(c.ctx, "unix", socket)
	if err != nil {
		place.Close()
		c.say(LevelError, "ssh: the agent can't be forwarded: %v", reason(err))
		return nil, func() {}
	}
	ctx, stop := context.WithCancel(c.ctx)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				if err := joinAgent(ctx, conn, agent); err != nil {
					c.say(LevelDebug1, "debug1: agent: %v", err)
				}
			})
		}
	})
	return []string{"SSH_AUTH_SOCK=" + socket}, func() {
		stop()
		ln.Close()
		serving.Wait()
		leave(place)
	}
}

// leave waits until the far side has removed its directory, for grace at most.
func leave(place net.Conn) {
	defer place.Close()
	_ = place.SetReadDeadline(time.Now().Add(grace))
	if w, ok := place.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, place)
	}
}

// agentDir asks the far side for a directory, which exists as long as the connection.
func (c *call) agentDir() (net.Conn, string, error) {
	place, err := agentPlace.Dial(c.ctx, c.node, struct{}{})
	if err != nil {
		return nil, "", err
	}
	dir, err := bufio.NewReader(io.LimitReader(place, maxName)).ReadString('\n')
	if err != nil {
		place.Close()
		return nil, "", err
	}
	return place, strings.TrimSuffix(dir, "\n"), nil
}

// joinAgent connects a connection from the far side with the agent, until ctx or one of the two
// ends.
func joinAgent(ctx context.Context, conn net.Conn, agent string) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	here, err := new(net.Dialer).DialContext(ctx, "unix", agent)
	if err != nil {
		return err
	}
	defer here.Close()
	return contexts.Relay(conn, here)
}
