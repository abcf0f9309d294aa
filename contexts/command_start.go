package contexts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/contexts/internal/command"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// Start starts the command, and returns when it runs or could not be started. The reasons
// are those of Start of an exec.Cmd at the far side. After a Start without an error, Wait
// must be called.
func (c *Command) Start() error {
	if c.on == nil || c.ctx == nil {
		return &Error{Op: "run " + c.Path, Err: errors.New("not made by Command of a node or a managed host")}
	}
	if !c.started.CompareAndSwap(false, true) {
		return c.wrap(errors.New("the command was started before; a Command is used once"))
	}
	r, err := c.start()
	for _, p := range c.pipes {
		p.Settle(err)
	}
	if err != nil {
		return c.wrap(err)
	}
	c.running.Store(r)
	return nil
}

func (c *Command) start() (*command.Running, error) {
	if c.ctx.Err() != nil {
		return nil, context.Cause(c.ctx)
	}
	var err error
	if c.node, err = NodeOf(c.ctx, c.on); err != nil {
		return nil, err
	}
	if c.node == nil || c.node.self == nil {
		return nil, errOtherTree
	}
	q, err := c.request()
	if err != nil {
		return nil, err
	}
	std := command.Stdio{Stdin: c.Stdin, StdinPipe: c.pipedIn, Stdout: c.Stdout, Stderr: c.Stderr}
	r, err := command.Open(std, &q, func() *router.Stream { return c.node.self.router.NewStream(c.node.id) })
	if err == nil {
		c.Pid, err = c.begin(r, q)
	}
	if err != nil {
		r.Abandon(err)
		return nil, err
	}
	return r, nil
}

// begin sends the request and waits until the command runs.
func (c *Command) begin(r *command.Running, q command.Request) (pid int, err error) {
	told := c.tellOfJobs()
	conn, err := commandConn.Dial(c.ctx, c.node, q)
	if toldErr := told(); err == nil && toldErr != nil {
		conn.Close() // which ends the command
		err = toldErr
	}
	if err != nil {
		return 0, err
	}
	return r.Begin(c.ctx, conn.(*router.Stream))
}

// Wait waits for the end of a command that Start has started, and for its output. It closes
// the pipes that StdoutPipe and StderrPipe returned, so read them before.
func (c *Command) Wait() error {
	r := c.running.Load()
	if r == nil {
		return c.wrap(errors.New("the command was not started"))
	}
	if !c.waited.CompareAndSwap(false, true) {
		return c.wrap(errors.New("Wait was called before"))
	}
	end := r.Wait(c.pipes)
	if end.State != nil {
		s := stateOf(end.State)
		c.ProcessState = &s
	}
	return c.wrap(c.verdict(end))
}

// verdict makes one error of all that is known of the end.
func (c *Command) verdict(end command.End) error {
	switch {
	case end.Lost != nil && c.ctx.Err() != nil:
		return context.Cause(c.ctx)
	case end.Lost != nil:
		return end.Lost
	case end.Why != nil:
		why := end.Why
		if end.Input != nil {
			why = end.Input
		}
		if c.ctx.Err() != nil {
			why = context.Cause(c.ctx)
		}
		if state := c.ProcessState.String(); why.Error() != state {
			return fmt.Errorf("%w (%s)", why, state)
		}
		return why
	}
	outErr := end.Output
	if outErr != nil && c.ctx.Err() != nil {
		outErr = fmt.Errorf("%w: %w", context.Cause(c.ctx), outErr)
	}
	if c.ProcessState.Success() {
		return outErr
	}
	exit := &ExitError{ProcessState: *c.ProcessState}
	if outErr != nil {
		return fmt.Errorf("%w; and its output is not complete: %w", exit, outErr)
	}
	return exit
}

// Signal sends a signal to the process, and returns when that is done. If the command has
// ended, the error is os.ErrProcessDone. Signals travel by name, because their numbers
// differ between systems.
func (c *Command) Signal(sig os.Signal) error { return c.signal(command.OrderSignal, sig) }

// SignalGroup sends a signal to the process group of the command, as a terminal does at
// Ctrl-C. Processes that the command started get it, too, unless they are in a group of
// their own.
func (c *Command) SignalGroup(sig os.Signal) error { return c.signal(command.OrderSignalGroup, sig) }

func (c *Command) signal(kind uint8, sig os.Signal) error {
	s, ok := sig.(syscall.Signal)
	if !ok || s <= 0 {
		return c.wrap(fmt.Errorf("%w: %v is not a signal that can be sent", os.ErrInvalid, sig))
	}
	w := command.NewSignal(s)
	return c.order(command.Order{Kind: kind, Signal: &w})
}

// Resize changes the size of the command's terminal, in characters. Processes with that
// controlling terminal get SIGWINCH.
func (c *Command) Resize(rows, cols int) error {
	p, err := (&Pty{Rows: rows, Cols: cols}).wire()
	if err == nil && c.Pty == nil {
		err = fmt.Errorf("%w: the command has no terminal", os.ErrInvalid)
	}
	if err != nil {
		return c.wrap(err)
	}
	return c.order(command.Order{Kind: command.OrderResize, Rows: p.Rows, Cols: p.Cols})
}

func (c *Command) order(o command.Order) error {
	r := c.running.Load()
	if r == nil {
		return c.wrap(errors.New("the command was not started"))
	}
	return c.wrap(r.Order(o))
}

func (c *Command) pipe(taken bool, name string) (*command.Pipe, error) {
	switch {
	case taken:
		return nil, c.wrap(errors.New(name + " is set already"))
	case c.started.Load():
		return nil, c.wrap(errors.New(name + "Pipe was called after Start"))
	}
	p := command.NewPipe()
	c.pipes = append(c.pipes, p)
	return p, nil
}

// StdinPipe returns a pipe to the command's standard input. Write waits until the command is
// started, and then until it reads. Close ends the input. So does Wait, once the command has
// ended.
func (c *Command) StdinPipe() (io.WriteCloser, error) {
	p, err := c.pipe(c.Stdin != nil || c.pipedIn != nil, "Stdin")
	if err != nil {
		return nil, err
	}
	c.pipedIn = p
	return command.InputPipe{Pipe: p}, nil
}

// StdoutPipe returns a pipe from the command's standard output. Read returns io.EOF only
// after the whole output. Read the pipe before Wait, which closes it. The pipe has a method
// SetDeadline(time.Time) error.
func (c *Command) StdoutPipe() (io.ReadCloser, error) {
	p, err := c.pipe(c.Stdout != nil, "Stdout")
	if err != nil {
		return nil, err
	}
	c.Stdout = p
	return p, nil
}

// StderrPipe returns a pipe from the command's standard error, as StdoutPipe does.
func (c *Command) StderrPipe() (io.ReadCloser, error) {
	p, err := c.pipe(c.Stderr != nil, "Stderr")
	if err != nil {
		return nil, err
	}
	c.Stderr = p
	return p, nil
}

// request makes the request of the command, and checks all that can be checked here.
// Open of package command fills in the handles.
func (c *Command) request() (command.Request, error) {
	var q command.Request
	if c.Path == "" {
		return q, fmt.Errorf("%w: no program is named", fs.ErrInvalid)
	}
	err := cmp.Or(noNUL("the program's name", c.Path), noNUL("Dir", c.Dir), noNUL("SourceEnv", c.SourceEnv))
	if err != nil {
		return q, err
	}
	for i, a := range c.Args {
		if err := noNUL(fmt.Sprintf("argument %d", i), a); err != nil {
			return q, err
		}
		q.Args = append(q.Args, []byte(a))
	}
	for _, e := range c.Env {
		name, _, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return q, fmt.Errorf("%w: %q in Env is not of the form NAME=value", fs.ErrInvalid, e)
		}
		if err := noNUL("the variable "+name, e); err != nil {
			return q, err
		}
		q.Env = append(q.Env, []byte(e))
	}
	if c.Pty != nil {
		p, err := c.Pty.wire()
		if err != nil {
			return q, err
		}
		if c.Stderr != nil && !sameWriter(c.Stdout, c.Stderr) {
			return q, fmt.Errorf("%w: with a Pty there is one output, which is Stdout", fs.ErrInvalid)
		}
		q.Pty = p
	}
	q.Path, q.Dir, q.SourceEnv = []byte(c.Path), []byte(c.Dir), []byte(c.SourceEnv)
	if c.ClearEnv {
		q.Flags |= command.ClearEnv
	}
	if c.LoginEnv {
		q.Flags |= command.LoginEnv
	}
	if c.shell {
		q.Flags |= command.Shell
	}
	if c.Stderr != nil && sameWriter(c.Stdout, c.Stderr) {
		q.Flags |= command.Merged
	}
	if c.KeepJobs {
		q.Flags |= command.KeepJobs
	}
	orDefault := func(d, def time.Duration) time.Duration {
		if d == 0 {
			return def
		}
		return d
	}
	q.WaitDelay = orDefault(c.WaitDelay, DefaultWaitDelay)
	q.KillDelay = orDefault(c.KillDelay, DefaultKillDelay)
	q.IdleTimeout = max(c.IdleTimeout, 0)
	if deadline, ok := c.ctx.Deadline(); ok {
		q.Timeout = max(time.Until(deadline), time.Microsecond)
	}
	return q, nil
}

func noNUL(what, s string) error {
	if strings.IndexByte(s, 0) < 0 {
		return nil
	}
	return fmt.Errorf("%w: %s has a NUL byte in it", fs.ErrInvalid, what)
}

// sameWriter compares writers, which may be of types that cannot be compared.
func sameWriter(a, b any) bool {
	defer func() { _ = recover() }()
	return a == b
}

// The size of a terminal that does not say its own.
const defaultRows, defaultCols = 24, 80

func (p *Pty) wire() (*command.Pty, error) {
	w := &command.Pty{Rows: defaultRows, Cols: defaultCols, Term: []byte(p.Term)}
	if min(p.Rows, p.Cols) < 0 || max(p.Rows, p.Cols) > math.MaxUint16 {
		return nil, fmt.Errorf("%w: no terminal has %d rows and %d columns", os.ErrInvalid, p.Rows, p.Cols)
	}
	if p.Rows > 0 {
		w.Rows = uint16(p.Rows)
	}
	if p.Cols > 0 {
		w.Cols = uint16(p.Cols)
	}
	if p.Term == "" {
		if w.Term = []byte(os.Getenv("TERM")); len(w.Term) == 0 {
			w.Term = []byte("xterm")
		}
	}
	return w, noNUL("TERM", string(w.Term))
}

// commandName is the name of the function. Its errors begin with commandCall.
const (
	commandName = "mitosis.command"
	commandCall = "call " + commandName
)

// commandConn runs a command at its far side.
var commandConn = NewConnFunc(commandName, func(ctx context.Context, conn net.Conn, q command.Request) error {
	c := callOf(ctx)
	return command.Serve(ctx, conn.(*router.Stream), q, command.Host{
		OwnProcess: c.l.ownsProcess(), Profiles: c.l.profiles, KillGrace: killGrace,
		Accept: func(h core.Handle) (*router.Stream, error) {
			m := c.m // for the link whose quota the stream counts against
			m.Reply = h
			return c.l.router.AcceptStream(m)
		},
	})
})

// A process that a command with KeepJobs leaves running is below the guard of its context.
// If that was reached by a hop on the same host, the process is below other guards, too.
// Each guard ends the processes below it, so each has to know.

// keepJobsFunc has a context spare the processes that such commands leave running.
var keepJobsFunc = NewFunc("mitosis.keepjobs", func(ctx context.Context, _ struct{}) (struct{}, error) {
	if callOf(ctx).l.ownsProcess() {
		// Where it fails there is no guard that could end them.
		_ = bootstrap.KeepJobs()
	}
	return struct{}{}, nil
})

// tellOfJobs tells the contexts between here and that of the command, if the command
// is one with KeepJobs. The function that it returns waits until all know.
func (c *Command) tellOfJobs() (wait func() error) {
	l := c.node.self
	var told []func() error
	if c.KeepJobs {
		for n := c.node.Parent(); n != nil && n.id != l.id && n.id != core.Master; n = n.Parent() {
			if _, already := l.sparing.Load(n.id); already {
				continue
			}
			p := keepJobsFunc.Go(c.ctx, n, struct{}{})
			told = append(told, func() error {
				_, err := p.Wait()
				if err == nil {
					l.sparing.Store(n.id, true)
				}
				return err
			})
			if n.via == n.id {
				break // its parent is not known here
			}
		}
	}
	return func() (err error) {
		for _, wait := range told {
			if waitErr := wait(); err == nil && waitErr != nil {
				err = fmt.Errorf("processes that the command leaves running can't be kept: %w", waitErr)
			}
		}
		return err
	}
}
