//go:build unix

package fakessh

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What ssh does by fork: the shim that the tool waits for ends, and another process
// has its connection to the program from then on. It stands for the call as the first one
// did: it can be seen, sent signals and killed.

// successorVariable is all that a successor has in its environment: the descriptor of the
// connection and the private directory, in two parts. Who has the whole path of that in
// its environment may call ssh again, which a successor doesn't.
const successorVariable = "MITOSIS_SSH_SUCCESSOR"

// background lets the shim go with a status when another process has taken its
// place, which tells no one anything unless it is to tell a lot.
func (c *call) background(status int) error {
	kind := newsFork
	if c.line.Level >= LevelDebug1 {
		kind = newsForkTelling
	}
	if err := c.succession(news{Kind: kind, Status: status}); err != nil {
		return err
	}
	if c.line.Session == SessionNone || c.over.Load() {
		// Nothing is to be read or written any more: who waits for the end of the output
		// must not wait for a forwarding.
		c.release()
	}
	for _, path := range c.owned() {
		_ = c.news.send(news{Kind: newsOwns, File: []byte(path)})
	}
	return nil
}

// succession has a process take the shim's place. Whoever asks for the PID meanwhile
// is told that of the new one, and nothing is sent that the old one might read.
func (c *call) succession(n news) error {
	c.shim.Lock()
	defer c.shim.Unlock()
	return c.news.sendAndHold(n, func() error {
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
	_ = c.news.send(news{Kind: newsOwns, File: []byte(path)})
}

func (c *call) owned() []string {
	c.sockets.Lock()
	defer c.sockets.Unlock()
	return c.sockets.paths
}

// succeed starts the process that goes on with the shim's connection.
func (s *shim) succeed(dir string, telling bool) error {
	conn, err := s.conn.File()
	if err != nil {
		return err
	}
	defer conn.Close()
	path := filepath.Join(dir, "ssh")
	if _, err := os.Stat(path); err != nil {
		path = selfPath()
	}
	cmd := &exec.Cmd{
		Path: path, Args: os.Args, Env: []string{fmt.Sprintf("%s=3:%s:%s", successorVariable, filepath.Dir(dir), filepath.Base(dir))},
		ExtraFiles: []*os.File{conn}, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if telling {
		cmd.Stderr = os.Stderr
	}
	return cmd.Start()
}

// inherited returns what a successor is given: the descriptor and the directory.
func inherited() (fd int, dir string, ok bool) {
	number, rest, _ := strings.Cut(os.Getenv(successorVariable), ":")
	above, name, ok := strings.Cut(rest, ":") // paths that are part of PATH have no colons
	fd, err := strconv.Atoi(number)
	return fd, filepath.Join(above, name), ok && err == nil
}

// deathTime is how long the kernel may take to close what a process had open.
const deathTime = 200 * time.Millisecond

// removeStale removes the sockets on which nobody listens any more, while the
// program dies.
func removeStale(paths []string) {
	for end := time.Now().Add(deathTime); len(paths) > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		var left []string
		for _, path := range paths {
			if isStale(path) {
				_ = os.Remove(path)
			} else if _, err := os.Lstat(path); err == nil {
				left = append(left, path)
			}
		}
		paths = left
	}
}
