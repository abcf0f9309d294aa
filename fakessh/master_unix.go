//go:build unix

package fakessh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
)

// maxSocketPath bounds the path of a socket, in bytes, as the strictest system does.
const maxSocketPath = 103

// master is an ssh master: a call whose context and forwardings other calls with the same
// ControlPath share. It lives until they have ended. Calls of this program find it by the path,
// those of other programs by the socket.
//
// Goroutines: one serves the socket, until stop.
type master struct {
	// Immutable after masters.add.
	path   string
	f      *forwards
	socket *controlSocket

	over    context.Context // ends with the call, when all of it is closed
	isOver  context.CancelFunc
	stopped chan struct{} // closed by stop
}

// masters are the ssh masters of a proxy, by the absolute paths of their sockets.
type masters struct {
	mu  sync.Mutex
	all map[string]*master
}

func (t *masters) find(path string) *master {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[path]
}

// use is find for a caller that keeps the ssh master until it calls usage.add(-1).
func (t *masters) use(path string) *master {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.all[path]
	if m != nil {
		m.f.use.add(1)
	}
	return m
}

// errMasterTaken: the ControlPath has a socket already.
var errMasterTaken = errors.New("already exists")

// add makes a call the ssh master of a path.
func (t *masters) add(path string, f *forwards) (*master, error) {
	// Others find it as soon as its socket exists.
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all[path] != nil {
		return nil, errMasterTaken
	}
	if len(path) > maxSocketPath {
		return nil, refuse("ControlPath too long ('%s' >= %d bytes)", path, maxSocketPath+1)
	}
	if shim.IsStale(path) {
		_ = os.Remove(path)
	}
	socket, err := newControlSocket(path)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, errMasterTaken
	}
	if err != nil {
		return nil, refuse("unix_listener: cannot bind to path %s: %s", path, asSaid(err))
	}
	m := &master{path: path, f: f, socket: socket, stopped: make(chan struct{})}
	m.over, m.isOver = context.WithCancel(context.Background())
	if t.all == nil {
		t.all = make(map[string]*master)
	}
	t.all[path] = m
	// This call is in calls, so calls.Wait has not returned. It ends with the socket.
	f.c.p.calls.Go(func() { socket.serve(f.c.p) })
	return m, nil
}

// stop ends the taking of requests, and removes the socket.
func (t *masters) stop(m *master) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopLocked(m)
}

// stopIfUnused is stop for an ssh master that nobody uses. It reports whether it has stopped.
func (t *masters) stopIfUnused(m *master) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.f.use.count() > 0 {
		return false
	}
	t.stopLocked(m)
	return true
}

func (t *masters) stopLocked(m *master) {
	if t.all[m.path] == m {
		delete(t.all, m.path)
		m.socket.close()
		close(m.stopped)
	}
}

// asSaid returns an error of the system in the words of strerror.
func asSaid(err error) string {
	text := err.Error()
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		text = errno.Error()
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// path returns the path of the control socket, with symbolic links resolved, so that it is the
// same for all calls. "" is none.
func (c *call) path() (string, error) {
	path, err := c.line.controlPath(tokensOf(c.lookupEnv))
	path = absolute(string(c.hello.Dir), path)
	if err != nil || path == "" {
		return "", err
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(dir, filepath.Base(path))
	}
	return path, nil
}

// findMaster returns the ssh master that this call shares, and uses it; nil if there is none.
func (c *call) findMaster() (*master, error) {
	path, err := c.path()
	if err != nil || path == "" || !c.line.Master.shares() {
		return nil, err
	}
	return c.p.shared.use(path), nil
}

// becomeMaster makes this call an ssh master, if its command line says so, and returns nil
// otherwise.
func (c *call) becomeMaster(f *forwards) (*master, error) {
	path, err := c.path()
	if err != nil || path == "" || c.line.Master == MasterNo {
		return nil, err
	}
	m, err := c.p.shared.add(path, f)
	if errors.Is(err, errMasterTaken) {
		// With auto, it belongs to a program that does not serve us.
		level := LevelError
		if c.line.Master.shares() {
			level = LevelDebug1
		}
		c.say(level, "ControlSocket %s already exists, disabling multiplexing", c.line.ControlPath)
		return nil, nil
	}
	if err == nil {
		c.owns(path)
	}
	return m, err
}

// share runs a call that shares an ssh master. Its forwardings become those of the ssh master,
// which waits for the call.
func (c *call) share(m *master) (int, error) {
	defer m.f.use.add(-1)
	defer context.AfterFunc(m.over, func() { c.cancel(errMasterGone) })()
	for _, r := range c.requests() {
		if _, err := c.requestOf(m, r); err != nil {
			c.say(LevelError, "mux_client_forward: forwarding request failed: %v", err)
			if c.line.ExitOnForwardFailure {
				return 0, &UsageError{"muxclient: master forward request failed"}
			}
		}
	}
	if c.line.Stdio != nil {
		return c.connectStdio()
	}
	if c.line.Session == SessionNone {
		return 0, nil // it has no purpose of its own
	}
	if c.line.Fork {
		if err := c.background(0); err != nil {
			return 0, err
		}
	}
	return c.session()
}

// errMasterGone ends a call with its ssh master. ssh prints nothing then.
var errMasterGone = errors.New("the master has ended")

// requestOf opens a forwarding of an ssh master.
func (c *call) requestOf(m *master, r request) (*forwarding, error) {
	fw, err := m.f.add(r)
	switch {
	case err == nil:
		return fw, nil
	case r.remote:
		return nil, fmt.Errorf("remote port forwarding failed for listen %s: %w", r.place(), err)
	}
	//lint:ignore ST1005 ssh says it so, and scripts read it
	return nil, fmt.Errorf("Port forwarding failed: %w", err)
}

// control runs -O.
func (c *call) control() (int, error) {
	path, err := c.path()
	if err != nil {
		return 0, err
	}
	if path == "" {
		l := c.line
		if n, err := c.p.hosts.find(c.ctx, Destination{Host: l.Host, User: l.User, Port: l.Port}); n == nil && err == nil {
			return c.passOn() // its configuration may have a path
		}
		return 0, refuse("No ControlPath specified for \"-O\" command")
	}
	m := c.p.shared.find(path)
	if m == nil {
		err := c.handOver(path)
		if errors.Is(err, syscall.EPROTOTYPE) { // not one of ours
			if err = askMaster(path); err == nil {
				return c.passOn()
			}
		}
		return 0, refuse("Control socket connect(%s): %s", c.line.ControlPath, asSaid(err))
	}
	switch c.line.Control {
	case "check":
		c.say(LevelQuiet, "Master running (pid=%d)", m.f.c.pid())
	case "exit":
		m.f.c.cancel(errToldToExit)
		c.p.shared.stop(m)
		c.say(LevelFatal, "Exit request sent.")
		// Its forwardings can be opened again.
		select {
		case <-m.over.Done():
		case <-c.ctx.Done():
		}
	case "stop":
		c.p.shared.stop(m)
		c.say(LevelFatal, "Stop listening request sent.")
	case "forward":
		return c.forwardBy(m)
	case "cancel":
		for _, r := range c.requests() {
			if !m.f.remove(r) {
				c.say(LevelError, "mux_client_forward: forwarding request failed: port not forwarded")
				err = errors.New("muxclient: master cancel forward request failed")
			}
		}
		if err != nil {
			c.say(LevelError, "%v", err) // and the status is 0, as that of ssh
		}
	default:
		return 0, fmt.Errorf("-O %s is not possible here", c.line.Control)
	}
	return 0, nil
}

// errToldToExit ends a call after -O exit. ssh prints nothing then.
var errToldToExit = errors.New("told to exit")

// forwardBy runs -O forward, which prints allocated ports.
func (c *call) forwardBy(m *master) (int, error) {
	out := newOutput(c.fds[1], c.wake)
	defer out.release()
	failed := false
	for _, r := range c.requests() {
		fw, err := c.requestOf(m, r)
		switch {
		case err != nil:
			c.say(LevelError, "mux_client_forward: forwarding request failed: %v", err)
			failed = true
		case r.remote && r.ListenPath == "" && r.ListenPort == 0:
			if _, err := fmt.Fprintln(out, fw.port); err != nil {
				return 0, err
			}
		}
	}
	if failed {
		return 0, &UsageError{"muxclient: master forward request failed"}
	}
	return 0, nil
}
