package contexts

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/contexts/internal/items"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// commandConn runs a command. See command_wire.go for what is said on its
// stream.
var commandConn = NewConnFunc(commandName, func(ctx context.Context, conn net.Conn, q commandRequest) error {
	p := &commandProcess{call: callOf(ctx), q: q, control: conn.(*router.Stream), exited: make(chan struct{})}
	p.events = &commandSender{w: items.Writer{S: p.control}}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	defer p.cancel(nil)
	if q.Timeout > 0 {
		var stop context.CancelFunc
		p.ctx, stop = context.WithTimeout(p.ctx, q.Timeout)
		defer stop()
	}
	return p.serve()
})

// commandProcess is a command at the side where it runs.
//
// Goroutines, all ended when serve returns, but for a process that cannot be
// killed: run starts and reaps the process; takeOrders reads what the caller
// wants; feed copies its standard input, and one pump for each output.
type commandProcess struct {
	// Immutable once the process was started.
	call    *incoming // its ctx ends when there is nobody to serve any more
	q       commandRequest
	control *router.Stream
	events  *commandSender
	cmd     *exec.Cmd
	stdin   *router.Stream // where the input comes from; nil: from the request, if at all
	feeder  *os.File       // our end of standard input, or the terminal; nil: there is none
	tty     *os.File       // our end of the terminal; nil: there is none
	inner   *os.File       // the process's end, kept until it ends: it may close all it has of it and open it again
	outputs []*commandOutput
	idle    *time.Timer // nil: it may be silent

	// ctx ends when the process is to end, with the reason as its cause.
	ctx    context.Context
	cancel context.CancelCauseFunc

	exited chan struct{} // closed by run, when the process was reaped

	sparesNohup bool // owned by await: of the group, who ignores SIGHUP is not to end
}

// errIdle says for how long there was no output.
func errIdle(d time.Duration) error { return fmt.Errorf("%w: %v", ErrIdle, d) }

func (p *commandProcess) serve() error {
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
	// Nobody listens any more once the call's own ctx has ended: what waits for
	// room in a stream would wait for ever.
	defer context.AfterFunc(p.call.ctx, func() { p.reset(context.Cause(p.call.ctx)) })()
	_ = p.events.send(commandEvent{Kind: eventStarted, State: &wireState{PID: p.cmd.Process.Pid}})
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

// prepare makes the streams and the descriptors of the process. Those that are
// to be closed here once the process has them are returned.
func (p *commandProcess) prepare() (theirs []*os.File, err error) {
	if err := p.describe(); err != nil {
		return nil, err
	}
	if p.q.Stdin != core.HandleNone {
		if p.stdin, err = p.accept(p.q.Stdin); err != nil {
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
func (p *commandProcess) describe() error {
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
	if p.q.Flags&commandShell == 0 {
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

// accept makes our end of one of the caller's streams.
func (p *commandProcess) accept(h core.Handle) (*router.Stream, error) {
	m := p.call.m // for the link whose quota the stream counts against
	m.Reply = h
	return p.call.l.router.AcceptStream(m)
}

func (p *commandProcess) preparePipes() (theirs []*os.File, err error) {
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
			// A root without /dev: the pump has nowhere to put it.
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
	if p.q.Flags&commandMerged == 0 {
		stderr, err := output(p.q.Stderr)
		if err != nil {
			return theirs, err
		}
		p.cmd.Stderr = stderr
	}
	return theirs, nil
}

// noInput gives the process an input that is at its end.
func (p *commandProcess) noInput(theirs []*os.File) ([]*os.File, error) {
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

// addOutput has what comes out of src sent to a stream of the caller.
func (p *commandProcess) addOutput(src *os.File, h core.Handle) error {
	o := &commandOutput{src: src, idle: p.idle, after: p.q.IdleTimeout, done: make(chan struct{})}
	p.outputs = append(p.outputs, o)
	if h == core.HandleNone {
		return nil
	}
	var err error
	o.dst, err = p.accept(h)
	return err
}

// start starts the process in a goroutine that goes on to reap it. In a process
// that has no guard to clean up behind it, as the master's, or whose guard would take
// the command for a job, the kernel kills the command when we die. It does that when the thread that started it ends, so
// that thread is kept.
func (p *commandProcess) start() error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	keepJobs := p.q.Flags&commandKeepJobs != 0
	if keepJobs && p.call.l.ownsProcess() {
		if err := bootstrap.KeepJobs(); err != nil {
			return fmt.Errorf("what the command leaves running can't be kept: %w", err)
		}
	}
	tied := keepJobs || !p.call.l.ownsProcess()
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

// release gives back what prepare took, if there is no process.
func (p *commandProcess) release(err error) {
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
func (p *commandProcess) reset(err error) {
	if p.stdin != nil {
		p.stdin.Reset(err)
	}
	for _, o := range p.outputs {
		if o.dst != nil {
			o.dst.Reset(err)
		}
	}
}

// takeOrders does what the caller wants. The end of its stream means that
// nobody wants anything any more.
func (p *commandProcess) takeOrders() {
	r := bufio.NewReaderSize(p.control, 512)
	for {
		o, err := receive[commandOrder](r)
		if err != nil {
			p.cancel(fmt.Errorf("the caller is gone: %w", err))
			return
		}
		if o.Kind == orderKill {
			p.cancel(context.Canceled)
			continue
		}
		p.answer(o)
	}
}

// answer does what an order says. If that ends the process, the answer still
// comes before the news of its end.
func (p *commandProcess) answer(o commandOrder) {
	p.events.mu.Lock()
	defer p.events.mu.Unlock()
	e := commandEvent{Kind: eventDone}
	if err := p.obey(o); err != nil {
		e.Err = core.EncodeError(err)
	}
	_ = p.events.w.Value(e)
}

func (p *commandProcess) obey(o commandOrder) error {
	if isClosedChan(p.exited) {
		return os.ErrProcessDone
	}
	switch {
	case o.Kind == orderSignal && o.Signal != nil:
		return p.cmd.Process.Signal(o.Signal.signal())
	case o.Kind == orderSignalGroup && o.Signal != nil:
		return p.signalGroup(o.Signal.signal())
	case o.Kind == orderResize && p.tty != nil:
		return resizeTerminal(p.tty, o.Rows, o.Cols)
	}
	return core.ErrProtocol
}

// feed copies standard input to the process. That ends when the process has
// closed its input or has ended, or, in order, at the end of the input. If the
// input breaks off, the process must not take that for its end.
func (p *commandProcess) feed() {
	var src io.Reader = bytes.NewReader(p.q.Input)
	if p.stdin != nil {
		src = p.stdin
		defer p.stdin.Close()
	}
	noted := &errorNoting{r: src}
	_, err := io.Copy(p.feeder, noted)
	switch {
	case noted.err != nil && !isClosedChan(p.exited):
		p.cancel(fmt.Errorf("its standard input broke off: %w", noted.err))
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
