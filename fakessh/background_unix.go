//go:build unix

package fakessh

import (
	"context"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
)

// ssh goes into the background by fork. Here the shim ends, for which the tool waits, and
// another process, the successor, takes over its connection to the program. People can see it,
// send it signals and kill it, as the background process of ssh.

// background ends the shim with a status when a successor has taken its place. The successor
// keeps standard error only at debug levels.
func (c *call) background(status int) error {
	kind := shim.NewsFork
	if c.line.Level >= LevelDebug1 {
		kind = shim.NewsForkTelling
	}
	if err := c.succession(shim.News{Kind: kind, Status: status}); err != nil {
		return err
	}
	if c.line.Session == SessionNone || c.over.Load() {
		// The descriptors have no use any more. A reader of the output must see its end
		// while the forwardings go on.
		c.release()
	}
	for _, path := range c.owned() {
		_ = c.news.Send(shim.News{Kind: shim.NewsOwns, File: []byte(path)})
	}
	return nil
}

// succession replaces the shim by a successor. It holds back messages, which the old process
// could read, and calls of pid, until the successor has come.
func (c *call) succession(n shim.News) error {
	c.shim.Lock()
	defer c.shim.Unlock()
	return c.news.SendAndHold(n, func() error {
		select {
		case c.shim.pid = <-c.successor:
			return nil
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	})
}

// pid returns that of the shim.
func (c *call) pid() int {
	c.shim.Lock()
	defer c.shim.Unlock()
	return c.shim.pid
}

// owns tells the shim to remove a socket if this program is killed.
func (c *call) owns(path string) {
	if len(path) > maxName {
		return
	}
	c.sockets.Lock()
	c.sockets.paths = append(c.sockets.paths, path)
	c.sockets.Unlock()
	_ = c.news.Send(shim.News{Kind: shim.NewsOwns, File: []byte(path)})
}

func (c *call) owned() []string {
	c.sockets.Lock()
	defer c.sockets.Unlock()
	return c.sockets.paths
}
