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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/contexts"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
	"github.com/mitosis-go/mitosis/internal/patience"
)

// call is one call of ssh, in the program.
//
// Goroutines: serve runs the call; listen takes the orders of the shim until that ends; deliver
// passes them on to the far side. serve waits for both. The command has its own goroutines.
type call struct {
	// Immutable.
	p      *Proxy
	conn   *net.UnixConn
	orders *bufio.Reader
	news   *shim.Sender
	hello  shim.Greeting
	fds    [3]int // the standard descriptors of the shim
	wake   int    // readable from the end of ctx on
	// release closes fds.
	release func()

	line   *CommandLine // set by run
	node   *contexts.Node
	ctx    context.Context // ends with the shim, or with the process that took its place
	cancel context.CancelCauseFunc

	commands chan *contexts.Command // capacity 1; sent by runCommand, received by listen
	// deliveries are orders for the far side. Each waits for an answer, which does not come
	// if the link is stuck, until the command is over. Capacity maxDeliveries; sent by
	// listen, which drops them if there is no room; received by deliver; closed when
	// listen has returned.
	deliveries chan func()
	over       atomic.Bool // the session is; from then on every signal ends the call
	signalled  atomic.Bool // there was a signal before; set by listen ahead of reading over
	successor  chan int    // capacity 1; the PID of a process that takes the shim's place; sent by listen, received by succession

	// The shim, or the process that has taken its place.
	shim struct {
		sync.Mutex
		pid int
	}
	// The sockets that the shim removes if this program is killed.
	sockets struct {
		sync.Mutex
		paths []string
	}
}

// caughtError is a signal to the shim, as the cause of the call's end.
type caughtError syscall.Signal

// Error implements error.
func (s caughtError) Error() string { return "killed by signal " + fmt.Sprint(int(s)) }

var errShimGone = errors.New("ssh has ended")

func newCall(p *Proxy, conn *net.UnixConn, r *bufio.Reader, g shim.Greeting, fds [3]int, release func()) *call {
	c := &call{p: p, conn: conn, orders: r, news: &shim.Sender{W: conn}, hello: g, fds: fds, release: release,
		commands: make(chan *contexts.Command, 1), deliveries: make(chan func(), maxDeliveries), successor: make(chan int, 1)}
	c.shim.pid = g.PID
	c.ctx, c.cancel = context.WithCancelCause(p.ctx)
	return c
}

// serve runs the call to its end, and tells the shim the result.
func (c *call) serve() {
	defer c.cancel(nil)
	wake, release, err := wakeAfter(c.ctx)
	if err != nil {
		c.fail(err)
		return
	}
	defer release()
	c.wake = wake
	shimGone, leave := context.WithCancel(context.Background())
	defer context.AfterFunc(shimGone, func() { c.cancel(errShimGone) })()
	var tasks sync.WaitGroup
	tasks.Go(func() {
		defer close(c.deliveries)
		defer leave() // which ends a command that answers no delivery
		c.listen()
	})
	tasks.Go(c.deliver)
	status, err := c.do()
	if err != nil {
		c.fail(err)
	} else {
		c.exit(status, "")
	}
	c.conn.Close()
	tasks.Wait() // the command is over, and so is every delivery to it
}

// wakeAfter returns a descriptor that is readable from the end of ctx on.
func wakeAfter(ctx context.Context) (fd int, release func(), err error) {
	wake, waker, err := os.Pipe()
	if err != nil {
		return -1, nil, err
	}
	stop := context.AfterFunc(ctx, func() { waker.Close() })
	return int(wake.Fd()), func() {
		stop()
		waker.Close()
		wake.Close()
	}, nil
}

func (c *call) exit(status int, text string) {
	c.tell(shim.News{Kind: shim.NewsExit, Status: status, Text: []byte(text)})
}

// maxText bounds the text of one message, in bytes: it may have parts of a command line. maxName
// bounds the path of a file: no system has a longer PATH_MAX.
const (
	maxText = 16 << 10
	maxName = 4 << 10
)

// tell sends news, with the log file of the command line.
func (c *call) tell(n shim.News) {
	if len(n.Text) > maxText {
		n.Text = append(n.Text[:maxText:maxText], "...\r\n"...)
	}
	if c.line != nil && len(c.line.LogFile) <= maxName {
		n.File = []byte(c.line.LogFile)
	}
	_ = c.news.Send(n)
}

// fail ends the shim as ssh ends if it fails itself.
func (c *call) fail(err error) {
	cause := context.Cause(c.ctx)
	if err == errTold || cause == errToldToExit || cause == errMasterGone {
		c.exit(shim.ExitFailed, "") // ssh says nothing of it either
		return
	}
	text := err.Error()
	if _, usage := errors.AsType[*UsageError](err); !usage {
		text = "ssh: " + text
	}
	c.exit(shim.ExitFailed, text+"\r\n")
}

// say shows a message, if the command line's log level has it.
func (c *call) say(level Level, format string, args ...any) {
	wanted := c.line.Level
	if wanted == LevelUnset {
		wanted = LevelInfo
	}
	if level <= wanted {
		c.tell(shim.News{Kind: shim.NewsNotice, Text: fmt.Appendf(nil, format+"\r\n", args...)})
	}
}

// do runs the call, and returns its exit status.
func (c *call) do() (int, error) {
	var args []string
	for _, a := range c.hello.Args {
		args = append(args, string(a))
	}
	l, err := ParseCommandLine(args)
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
		path, err := l.controlPath(tokensOf(c.lookupEnv))
		if err == nil {
			_, err = out.Write([]byte(l.config(c.env("USER"), path)))
		}
		return 0, err
	case Control:
		return c.control()
	}
	m, err := c.findMaster()
	if err != nil {
		return 0, err
	}
	if m != nil {
		c.node = m.f.c.node
		c.say(LevelDebug1, "debug1: %s is %v, by the ssh master at %s", l.Host, c.node, m.path)
		return c.share(m)
	}
	c.node, err = c.p.hosts.find(c.ctx, Destination{Host: l.Host, User: l.User, Port: l.Port})
	if err != nil {
		return 0, err
	}
	if c.node == nil {
		return c.passOn()
	}
	c.say(LevelDebug1, "debug1: %s is %v", l.Host, c.node)
	return c.connect()
}

// passOn makes the shim become the real ssh.
func (c *call) passOn() (int, error) {
	_ = c.news.Send(shim.News{Kind: shim.NewsPassOn})
	<-c.ctx.Done() // it ends, or closes the connection when it becomes the real ssh
	return 0, context.Cause(c.ctx)
}

// connect runs the session and the forwardings of a call.
func (c *call) connect() (status int, err error) {
	l := c.line
	if l.Stdio != nil {
		return c.connectStdio()
	}
	f := newForwards(c)
	var m *master
	defer func() {
		if m != nil {
			c.p.shared.stop(m)
			defer m.isOver()
		}
		f.close()
	}()
	if err := f.openAll(c.requests()); err != nil {
		return 0, err
	}
	if m, err = c.becomeMaster(f); err != nil {
		return 0, err
	}
	persists := m != nil && l.Persist
	forks := l.Fork || persists && l.Session == SessionNone
	if forks {
		if err := c.background(0); err != nil {
			return 0, err
		}
	}
	if l.Session != SessionNone {
		if status, err = c.session(); err != nil {
			return 0, err
		}
	}
	if l.Session != SessionNone && !persists && c.signalled.Load() {
		return status, nil // a signal asked for the end; it may have come too late for the command
	}
	if persists && !forks {
		if err := c.background(status); err != nil {
			return 0, err
		}
	}
	return status, c.linger(f, m)
}

// session runs the command or subsystem.
func (c *call) session() (status int, err error) {
	if c.line.Session == SessionSubsystem {
		status, err = c.subsystem()
	} else {
		status, err = c.runCommand()
	}
	c.over.Store(true)
	return status, err
}

// linger waits, when the session is over or there is none, for the connections through the
// forwardings and for the calls that share this one. New ones may come meanwhile.
func (c *call) linger(f *forwards, m *master) error {
	idle := time.Duration(0)
	if c.line.Session == SessionNone {
		idle = -1
	}
	var hurry <-chan struct{}
	if m != nil {
		hurry = m.stopped
		if c.line.Persist {
			if idle = c.line.PersistTime; idle == 0 {
				idle = -1
			}
		}
	}
	if f.use.count() > 0 {
		_ = c.news.Send(shim.News{Kind: shim.NewsCooked})
	}
	ctx, cancel := context.WithCancelCause(c.ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	watching.Go(func() {
		select {
		case <-c.node.Done():
			cancel(c.node.Err())
		case <-ctx.Done():
		}
	})
	for {
		err := f.use.wait(ctx, idle, hurry)
		switch {
		case err == caughtError(syscall.SIGTERM) && c.line.Session == SessionNone:
			return nil // tunnels are ended like this
		case err != nil:
			return err
		case m == nil || c.p.shared.stopIfUnused(m):
			return nil
		}
	}
}

// listen takes the orders of the shim. Signals go to the command at the far side, which may
// handle them. The third of a kind ends the call, and so does SIGTERM or SIGHUP after grace.
func (c *call) listen() {
	var cmd *contexts.Command
	var passedOn patience.Signals
	deliver := func(f func()) {
		select {
		case c.deliveries <- f:
		default:
		}
	}
	var lastChance []*time.Timer // each only ends ctx
	defer func() {
		for _, t := range lastChance {
			t.Stop()
		}
	}()
	for {
		var o shim.Order
		if err := shim.Receive(c.orders, shim.MaxMessage, &o); err != nil {
			return
		}
		if o.PID > 0 {
			select {
			case c.successor <- o.PID:
			default:
			}
			continue
		}
		sig := syscall.Signal(o.Signal)
		if sig != 0 && !slices.Contains(shim.Signals, os.Signal(sig)) {
			return // no shim sends that
		}
		if cmd == nil {
			select {
			case cmd = <-c.commands:
			default:
			}
		}
		if sig != 0 {
			c.signalled.Store(true)
		}
		switch {
		case (cmd == nil || c.over.Load()) && sig != 0:
			c.cancel(caughtError(sig))
		case cmd == nil:
		case sig == 0:
			if cmd.Pty != nil {
				deliver(func() { _ = cmd.Resize(int(o.Rows), int(o.Cols)) })
			}
		default:
			first, enough := passedOn.Count(sig)
			deliver(func() { _ = cmd.SignalGroup(sig) })
			if enough {
				c.cancel(caughtError(sig))
			} else if first && (sig == syscall.SIGTERM || sig == syscall.SIGHUP) {
				lastChance = append(lastChance, time.AfterFunc(grace, func() { c.cancel(caughtError(sig)) }))
			}
		}
	}
}

// deliver passes orders on to the far side until listen has returned.
func (c *call) deliver() {
	for d := range c.deliveries {
		d()
	}
}

// maxDeliveries bounds the orders that wait for the far side. Further ones are dropped.
const maxDeliveries = 16

// grace is how long a command may go on after a signal that would end ssh at once.
const grace = time.Second

// env returns a variable of the shim's environment.
func (c *call) env(name string) string {
	v, _ := c.lookupEnv(name)
	return v
}

// lookupEnv returns a variable of the shim's environment, and whether it is set.
func (c *call) lookupEnv(name string) (string, bool) {
	for _, e := range c.hello.Env {
		if v, ok := strings.CutPrefix(string(e), name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// sent returns the variables that SetEnv and SendEnv send to the far side.
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
