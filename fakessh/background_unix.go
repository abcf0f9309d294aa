//go:build unix

package fakessh

import (
	"context"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
)

// What ssh does by fork: the shim that the tool waits for ends, and another process
// has its connection to the program from then on. It stands for the call as the first one
// did: it can be seen, sent signals and killed.

// background lets the shim go with a status when another process has taken its
// place, which tells no one anything unless it is to tell a lot.
func (c *call) background(status int) error {
	kind := shim.NewsFork
	if c.line.Level >= LevelDebug1 {
		kind = shim.NewsForkTelling
	}
	if err := c.succession(shim.News{Kind: kind, Status: status}); err != nil {
		return err
	}
	if c.line.Session == SessionNone || c.over.Load() {
		// Nothing is to be read or written any more: who waits for the end of the output
		// must not wait for a forwarding.
		c.release()
	}
	for _, path := range c.owned() {
		_ = c.news.Send(shim.News{Kind: shim.NewsOwns, File: []byte(path)})
	}
	return nil
}

// succession has a process take the shim's place. Whoever asks for the PID meanwhile
// is told that of the new one, and nothing is sent that the old one might read.
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

// owns notes a socket that is to be removed with the program, even if that is killed.
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
