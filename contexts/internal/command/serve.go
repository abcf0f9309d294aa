package command

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// Host is the context in which a command runs, as far as the command needs it.
type Host struct {
	// OwnProcess says that this process was started to be the context, and has a guard that
	// ends processes which the context leaves.
	OwnProcess bool
	Profiles   *Profiles
	// Accept makes our end of one of the caller's streams.
	Accept func(core.Handle) (*router.Stream, error)
	// KillGrace bounds KillDelay once the context itself is at its end.
	KillGrace time.Duration
}

// ErrIdle is in the error of a command that was killed because it printed nothing
// for its IdleTimeout.
var ErrIdle = errors.New("no output for too long")

// Serve runs a command until all of it has ended. ctx ends when the caller is lost. Orders
// and events travel on the stream control: see wire.go.
func Serve(ctx context.Context, control *router.Stream, q Request, h Host) error {
	p := &process{host: h, callCtx: ctx, q: q, control: control, exited: make(chan struct{})}
	p.events = NewSender(control)
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	defer p.cancel(nil)
	if q.Timeout > 0 {
		var stop context.CancelFunc
		p.ctx, stop = context.WithTimeout(p.ctx, q.Timeout)
		defer stop()
	}
	return p.serve()
}

// process is a command at the side where it runs.
//
// Goroutines, all ended when serve returns, but for a process that cannot be
// killed: the one of start starts and reaps the process; takeOrders reads the orders of the
// caller; feed copies its standard input; there is one pump for each output.
type process struct {
	// Immutable once the process was started.
	host    Host
	callCtx context.Context // ends when the caller is lost
	q       Request
	control *router.Stream
	events  *Sender
	cmd     *exec.Cmd
	stdin   *router.Stream // where the input comes from; nil: from the request, if at all
	feeder  *os.File       // our end of standard input, or the terminal; nil: there is none
	tty     *os.File       // our end of the terminal; nil: there is none
	inner   *os.File       // the process's end, kept until it ends: it may close all it has of it and open it again
	outputs []*output
	idle    *time.Timer // nil: it may be silent

	// ctx ends when the process is to end, with the reason as its cause.
	ctx    context.Context
	cancel context.CancelCauseFunc

	exited chan struct{} // closed by the goroutine of start, when the process was reaped

	sparesNohup bool // owned by await: processes of the group that ignore SIGHUP are spared
}

// errIdle says for how long there was no output.
func errIdle(d time.Duration) error { return fmt.Errorf("%w: %v", ErrIdle, d) }

func (p *process) serve() error {
	theirs, err := p.prepare()
	if err == nil {
		err = p.start()
	}
	for _, f := range theirs {
		_ = f.Close()
	}
	if err != nil {
		p.release(err)
		return err
	}
	// Nobody reads the streams once the call's own ctx has ended: a pump that waits for
	// room in one would wait for ever.
	defer context.AfterFunc(p.callCtx, func() { p.reset(context.Cause(p.callCtx)) })()
	_ = p.events.Send(Event{Kind: EventStarted, State: &State{PID: p.cmd.Process.Pid}})
	var tasks sync.WaitGroup
	tasks.Go(p.takeOrders)
	if p.feeder != nil {
		tasks.Go(p.feed)
	}
	for _, o := range p.outputs {
		tasks.Go(o.pump)
	}
	err = p.await()
	p.finish()
	tasks.Wait()
	return err
}

// prepare makes the streams and the descriptors of the process. It returns the descriptors
// that have to be closed here once the process has them.
func (p *process) prepare() (theirs []*os.File, err error) {
	if err := p.describe(); err != nil {
		return nil, err
	}
	if p.q.Stdin != core.HandleNone {
		if p.stdin, err = p.host.Accept(p.q.Stdin); err != nil {
			return nil, err
		}
	}
	if p.q.IdleTimeout > 0 {
		d := p.q.IdleTimeout
		p.idle = time.AfterFunc(d, func() { p.cancel(errIdle(d)) })
	}
	if p.q.Pty != nil {
		return p.prepareTerminal()
	}
	return p.preparePipes()
}

// describe fills in cmd, but for its standard descriptors.
func (p *process) describe() error {
	env, err := p.environment()
	if err != nil {
		return err
	}
	p.cmd = &exec.Cmd{Path: string(p.q.Path), Dir: string(p.q.Dir), Env: env}
	for _, a := range p.q.Args {
		p.cmd.Args = append(p.cmd.Args, string(a))
	}
	if len(p.cmd.Args) == 0 {
		p.cmd.Args = []string{p.cmd.Path}
	}
	if p.q.Flags&Shell == 0 {
		p.cmd.Path, err = findProgram(p.cmd.Path, env)
		return err
	}
	shell, home, _ := account()
	if _, err := os.Stat(home); p.cmd.Dir == "" && err == nil {
		p.cmd.Dir = home
	}
	p.cmd.Path, p.cmd.Args[0] = shell, filepath.Base(shell)
	if len(p.cmd.Args) == 1 {
		p.cmd.Args[0] = "-" + p.cmd.Args[0] // a login shell
	}
	return nil
}

func (p *process) preparePipes() (theirs []*os.File, err error) {
	if p.stdin != nil || len(p.q.Input) > 0 {
		r, w, err := os.Pipe()
		if err != nil {
			return theirs, err
		}
		theirs = append(theirs, r)
		p.cmd.Stdin, p.feeder = r, w
	} else if theirs, err = p.noInput(theirs); err != nil {
		return theirs, err
	}
	output := func(h core.Handle) (*os.File, error) {
		if h == core.HandleNone {
			if f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
				theirs = append(theirs, f)
				return f, nil
			}
			// The root has no /dev: the pump discards the output.
		}
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		theirs = append(theirs, w)
		return w, p.addOutput(r, h)
	}
	stdout, err := output(p.q.Stdout)
	if err != nil {
		return theirs, err
	}
	p.cmd.Stdout, p.cmd.Stderr = stdout, stdout
	if p.q.Flags&Merged == 0 {
		stderr, err := output(p.q.Stderr)
		if err != nil {
			return theirs, err
		}
		p.cmd.Stderr = stderr
	}
	return theirs, nil
}

// noInput gives the process an input that is at its end.
func (p *process) noInput(theirs []*os.File) ([]*os.File, error) {
	r, err := os.Open(os.DevNull)
	if err != nil {
		var w *os.File
		if r, w, err = os.Pipe(); err != nil {
			return theirs, err
		}
		_ = w.Close()
	}
	p.cmd.Stdin = r
	return append(theirs, r), nil
}

// addOutput has the bytes that come out of src sent to a stream of the caller.
func (p *process) addOutput(src *os.File, h core.Handle) error {
	o := &output{src: src, idle: p.idle, after: p.q.IdleTimeout, done: make(chan struct{})}
	p.outputs = append(p.outputs, o)
	if h == core.HandleNone {
		return nil
	}
	var err error
	o.dst, err = p.host.Accept(h)
	return err
}

// start starts the process in a goroutine that goes on to reap it. If this process has no
// guard, as the master, or if the guard would take the command for a job, the kernel kills
// the command when we die. It does so when the thread ends that started the command, so
// that thread is kept.
func (p *process) start() error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	keepJobs := p.q.Flags&KeepJobs != 0
	if keepJobs && p.host.OwnProcess {
		if err := bootstrap.KeepJobs(); err != nil {
			return fmt.Errorf("processes that the command leaves running can't be kept: %w", err)
		}
	}
	tied := keepJobs || !p.host.OwnProcess
	ownSession(p.cmd, p.tty != nil, tied)
	started := make(chan error)
	go func() {
		if tied {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
		}
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // the state says how it ended
			close(p.exited)
		}
	}()
	err := <-started
	if err != nil && p.cmd.Dir != "" {
		// The kernel does not say which of the two paths it did not like.
		if _, dirErr := os.Stat(p.cmd.Dir); dirErr != nil {
			return &os.PathError{Op: "chdir", Path: p.cmd.Dir, Err: errors.Unwrap(dirErr)}
		}
	}
	return err
}

// release closes the streams and descriptors that prepare made, if there is no process.
func (p *process) release(err error) {
	p.reset(err)
	for _, o := range p.outputs {
		if o.src != p.tty {
			_ = o.src.Close()
		}
	}
	if p.feeder != nil && p.feeder != p.tty {
		_ = p.feeder.Close()
	}
	if p.tty != nil {
		_ = p.inner.Close()
		_ = p.tty.Close()
	}
	if p.idle != nil {
		p.idle.Stop()
	}
}

// reset ends the streams but that for control.
func (p *process) reset(err error) {
	if p.stdin != nil {
		p.stdin.Reset(err)
	}
	for _, o := range p.outputs {
		if o.dst != nil {
			o.dst.Reset(err)
		}
	}
}

// takeOrders obeys the orders of the caller. The end of the stream ends the process.
func (p *process) takeOrders() {
	r := bufio.NewReaderSize(p.control, 512)
	for {
		o, err := Receive[Order](r)
		if err != nil {
			p.cancel(fmt.Errorf("the caller is gone: %w", err))
			return
		}
		if o.Kind == OrderKill {
			p.cancel(context.Canceled)
			continue
		}
		p.answer(o)
	}
}

// answer obeys an order and reports that. If the order ends the process, the answer comes
// before the news of the end.
func (p *process) answer(o Order) {
	p.events.Lock()
	defer p.events.Unlock()
	e := Event{Kind: EventDone}
	if err := p.obey(o); err != nil {
		e.Err = core.EncodeError(err)
	}
	_ = p.events.SendLocked(e)
}

func (p *process) obey(o Order) error {
	if isClosedChan(p.exited) {
		return os.ErrProcessDone
	}
	switch {
	case o.Kind == OrderSignal && o.Signal != nil:
		return p.cmd.Process.Signal(o.Signal.Local())
	case o.Kind == OrderSignalGroup && o.Signal != nil:
		return p.signalGroup(o.Signal.Local())
	case o.Kind == OrderResize && p.tty != nil:
		return resizeTerminal(p.tty, o.Rows, o.Cols)
	}
	return core.ErrProtocol
}

// feed copies standard input to the process. That ends when the process has
// closed its input or has ended, or, in order, at the end of the input. If the
// input breaks off, the process must not take that for its end.
func (p *process) feed() {
	var src io.Reader = bytes.NewReader(p.q.Input)
	if p.stdin != nil {
		src = p.stdin
		defer p.stdin.Close()
	}
	noted := &ErrorNoting{R: src}
	_, err := io.Copy(p.feeder, noted)
	switch {
	case noted.Err != nil && !isClosedChan(p.exited):
		p.cancel(fmt.Errorf("its standard input broke off: %w", noted.Err))
		return // the pipe is closed when the process has ended
	case err != nil && p.stdin != nil:
		p.stdin.Reset(syscall.EPIPE)
	case p.tty != nil && err == nil:
		endOfInput(p.tty)
	}
	if p.feeder != p.tty {
		_ = p.feeder.Close()
	}
}
