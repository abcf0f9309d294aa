//go:build unix

package fakessh

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// call is one call of ssh, at the program's side.
//
// Goroutines: run does what is wanted; listen takes the orders of the shim until
// that ends, and another one hands them on to the far side, for as long as that
// takes to answer. Those of the command are its own.
type call struct {
	// Immutable.
	p      *Proxy
	conn   *net.UnixConn
	orders *bufio.Reader
	news   *sender
	hello  greeting
	fds    [3]int // the standard descriptors of the shim
	wake   int    // readable from the end of ctx on
	// release closes fds.
	release func()

	line   *Line // set by run
	node   *contexts.Node
	ctx    context.Context // ends with the shim, unless it went to the background
	cancel context.CancelCauseFunc
	shim   func() bool // unties ctx from the shim

	commands chan *contexts.Command // capacity 1; sent by runCommand, received by listen
}

// caughtError is the cause of an end by a signal to the shim.
type caughtError syscall.Signal

// Error implements error.
func (s caughtError) Error() string { return "killed by signal " + fmt.Sprint(int(s)) }

var errShimGone = errors.New("ssh has ended")

func newCall(p *Proxy, conn *net.UnixConn, r *bufio.Reader, g greeting, fds [3]int, release func()) *call {
	c := &call{p: p, conn: conn, orders: r, news: &sender{w: conn}, hello: g, fds: fds, release: release, commands: make(chan *contexts.Command, 1)}
	c.ctx, c.cancel = context.WithCancelCause(p.ctx)
	return c
}

// run does what the shim was called for.
func (c *call) run() {
	defer c.cancel(nil)
	wake, waker, err := os.Pipe()
	if err != nil {
		c.fail(err)
		return
	}
	c.wake = int(wake.Fd())
	defer wake.Close()
	defer waker.Close()
	defer context.AfterFunc(c.ctx, func() { waker.Close() })()
	shimGone, leave := context.WithCancel(context.Background())
	c.shim = context.AfterFunc(shimGone, func() { c.cancel(errShimGone) })
	listened := make(chan struct{}) // closed when listen has returned
	go func() {
		defer close(listened)
		defer leave()
		c.listen()
	}()
	status, err := c.do()
	if err != nil {
		c.fail(err)
	} else {
		c.exit(status, "")
	}
	c.conn.Close()
	<-listened
}

func (c *call) exit(status int, text string) {
	c.tell(news{Kind: newsExit, Status: status, Text: []byte(text)})
}

// maxText is how much is told at once, in bytes, since parts of a command line
// may be in it; of a file's name it is what systems have as PATH_MAX at most.
const (
	maxText = 16 << 10
	maxName = 4 << 10
)

// tell sends news that may have a text.
func (c *call) tell(n news) {
	if len(n.Text) > maxText {
		n.Text = append(n.Text[:maxText:maxText], "...\r\n"...)
	}
	if c.line != nil && len(c.line.LogFile) <= maxName {
		n.File = []byte(c.line.LogFile)
	}
	_ = c.news.send(n)
}

// fail ends the shim as ssh ends where it is at fault.
func (c *call) fail(err error) {
	text := err.Error()
	if _, usage := errors.AsType[*UsageError](err); !usage {
		text = "ssh: " + text
	}
	c.exit(exitFailed, text+"\r\n")
}

// say shows a message of a level.
func (c *call) say(level Level, format string, args ...any) {
	wanted := c.line.Level
	if wanted == LevelUnset {
		wanted = LevelInfo
	}
	if level <= wanted {
		c.tell(news{Kind: newsNotice, Text: fmt.Appendf(nil, format+"\r\n", args...)})
	}
}

// do returns the exit status.
func (c *call) do() (int, error) {
	var args []string
	for _, a := range c.hello.Args {
		args = append(args, string(a))
	}
	l, err := ParseLine(args)
	if err != nil {
		return 0, err
	}
	c.line = l
	switch l.Action {
	case Version:
		c.say(LevelFatal, "OpenSSH_9.2 (mitosis)")
		return 0, nil
	case Query:
		return 0, fmt.Errorf("there is nothing to tell about %s: connections are made elsewhere", l.Query)
	case Configure:
		out := newOutput(c.fds[1], c.wake)
		defer out.release()
		_, err := out.Write([]byte(l.config(c.env("USER"))))
		return 0, err
	}
	c.node, err = c.p.hosts.find(c.ctx, Destination{Host: l.Host, User: l.User, Port: l.Port})
	if err != nil {
		return 0, err
	}
	if c.node == nil {
		_ = c.news.send(news{Kind: newsPassOn})
		<-c.ctx.Done() // it ends, or becomes somebody else
		return 0, context.Cause(c.ctx)
	}
	if l.Action == Control {
		return c.control()
	}
	c.say(LevelDebug1, "debug1: %s is %v", l.Host, c.node)
	return c.connect()
}

func (c *call) control() (int, error) {
	switch c.line.Control {
	case "check":
		c.say(LevelError, "Master running (pid=%d)", os.Getpid())
	case "exit", "stop":
		c.say(LevelError, "Exit request sent.")
	default:
		return 0, fmt.Errorf("-O %s is not possible here", c.line.Control)
	}
	return 0, nil
}

// connect does what is left: sessions and forwardings.
func (c *call) connect() (int, error) {
	l := c.line
	if l.Stdio != nil {
		return c.connectStdio()
	}
	end, err := c.openForwards()
	if err != nil {
		return 0, err
	}
	defer end()
	if l.Fork {
		c.background()
	}
	switch l.Session {
	case SessionNone:
		select {
		case <-c.ctx.Done():
			return 0, context.Cause(c.ctx)
		case <-c.node.Done():
			return 0, c.node.Err()
		}
	case SessionSubsystem:
		return c.subsystem()
	}
	return c.runCommand()
}

// background lets the shim go, and the call belong to the proxy. Where there is
// no command nothing is to be read or written any more: who waits for the end of
// the output must not wait for a forwarding.
func (c *call) background() {
	c.shim()
	c.exit(0, "")
	if c.line.Session == SessionNone {
		c.release()
	}
}

// listen takes the orders. Signals that people send from the keyboard go to the
// far side, which may have a use for them; with the third of a kind, and with
// those by which ssh is told to end, so does the command.
func (c *call) listen() {
	var cmd *contexts.Command
	seen := make(map[syscall.Signal]int)
	// Each waits for an answer, which a link that is stuck does not bring.
	deliveries := make(chan func(), maxDeliveries)
	defer close(deliveries)
	go func() {
		for deliver := range deliveries {
			deliver()
		}
	}()
	deliver := func(f func()) {
		select {
		case deliveries <- f:
		default:
		}
	}
	for {
		var o order
		if err := receive(c.orders, maxMessage, &o); err != nil {
			return
		}
		sig := syscall.Signal(o.Signal)
		if sig != 0 && !slices.Contains(caught, os.Signal(sig)) {
			return // no shim sends that
		}
		if cmd == nil {
			select {
			case cmd = <-c.commands:
			default:
			}
		}
		switch {
		case cmd == nil && sig != 0:
			c.cancel(caughtError(sig))
		case cmd == nil:
		case sig == 0:
			if cmd.Pty != nil {
				deliver(func() { _ = cmd.Resize(int(o.Rows), int(o.Cols)) })
			}
		default:
			seen[sig]++
			deliver(func() { _ = cmd.SignalGroup(sig) })
			if seen[sig] > patience {
				c.cancel(caughtError(sig))
			} else if seen[sig] == 1 && (sig == syscall.SIGTERM || sig == syscall.SIGHUP) {
				time.AfterFunc(grace, func() { c.cancel(caughtError(sig)) })
			}
		}
	}
}

// maxDeliveries is how many orders may wait for the far side. Further ones are
// lost.
const maxDeliveries = 16

// patience is how many signals of a kind a command may ignore, and grace how
// long it may go on after one by which ssh itself would end at once.
const (
	patience = 2
	grace    = time.Second
)

// env returns a variable of the shim's environment.
func (c *call) env(name string) string {
	for _, e := range c.hello.Env {
		if v, ok := strings.CutPrefix(string(e), name+"="); ok {
			return v
		}
	}
	return ""
}

// sent is the environment that the command line wants to have at the far side.
func (c *call) sent() []string {
	var env []string
	for _, e := range c.hello.Env {
		name, _, _ := strings.Cut(string(e), "=")
		for _, pattern := range c.line.SendEnv {
			if ok, _ := path.Match(pattern, name); ok {
				env = append(env, string(e))
				break
			}
		}
	}
	return append(env, c.line.Env...)
}

func (c *call) isTerminal(i int) bool { return c.hello.Terminals&(1<<i) != 0 }
