package contexts

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/command"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// commandRun is a command under way, as its caller sees it.
//
// Goroutines: listen reads the events, until the command's end; one copies
// Stdin, if there is one; one copies each output for which there is a writer;
// one, started when ctx ends, kills. Wait waits for all of them but a copy of
// Stdin that is inside of Read.
type commandRun struct {
	// Immutable once Start has returned.
	control   *router.Stream
	events    *bufio.Reader // read by Start, then by listen
	orders    *command.Sender
	stdin     *router.Stream // nil: none
	outputs   []*router.Stream
	killDelay time.Duration
	unwatch   func() bool // ends the watch over ctx
	input     *commandInput
	copies    sync.WaitGroup // of output
	exited    chan struct{}  // closed by listen

	// Written by listen before exited is closed.
	state *ProcessState
	why   error // the far side killed it for this
	lost  error // its end will never be known

	mu      sync.Mutex
	over    bool         // guarded by mu: no event comes any more
	pending []chan error // guarded by mu: orders that were not answered
	outErr  error        // guarded by mu: the first failure of an output
	// Guarded by mu: Wait is through, and what it stops if a kill was sent.
	finished bool
	patience *time.Timer
}

// inlineInput is how much of standard input the request can carry. More would
// make it a message of more than one frame, which gains nothing.
const inlineInput = 16 << 10

// Start starts the command, and returns when it runs or is known not to. The
// reasons why it does not are those of Start of an exec.Cmd at the far side.
// After a Start that went well, Wait must be called.
func (c *Command) Start() error {
	if c.on == nil || c.ctx == nil {
		return &Error{Op: "run " + c.Path, Err: errors.New("not made by Command of a node or a managed host")}
	}
	if !c.started.CompareAndSwap(false, true) {
		return c.wrap(errors.New("the command was started before; a Command is used once"))
	}
	r, err := c.start()
	for _, p := range c.pipes {
		p.open(err)
		if err == nil && p.err != nil {
			p.s.Close() // the caller closed it before
		}
	}
	if err != nil {
		return c.wrap(err)
	}
	c.run.Store(r)
	return nil
}

func (c *Command) start() (*commandRun, error) {
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
	r := &commandRun{killDelay: max(q.KillDelay, 0), exited: make(chan struct{})}
	if err := r.open(c, &q); err != nil {
		r.abandon(err)
		return nil, err
	}
	told := c.tellOfJobs()
	conn, err := commandConn.Dial(c.ctx, c.node, q)
	if toldErr := told(); err == nil && toldErr != nil {
		conn.Close() // which ends the command
		err = toldErr
	}
	if err != nil {
		r.abandon(err)
		return nil, err
	}
	r.control = conn.(*router.Stream)
	r.events, r.orders = bufio.NewReaderSize(r.control, 512), command.NewSender(r.control)
	stop := context.AfterFunc(c.ctx, func() { r.control.Reset(context.Cause(c.ctx)) })
	e, err := command.Receive[command.Event](r.events)
	if err == nil && (e.Kind != command.EventStarted || e.State == nil) {
		err = core.ErrProtocol
	}
	if !stop() {
		err = context.Cause(c.ctx)
	}
	if err != nil {
		r.abandon(err)
		return nil, err
	}
	c.Pid = e.State.PID
	r.begin(c)
	return r, nil
}

// open makes the streams.
func (r *commandRun) open(c *Command, q *command.Request) error {
	stream := func() (*router.Stream, core.Handle, error) {
		s := c.node.self.router.NewStream(c.node.id)
		// If there are too many, the far side need not hear of it.
		_, err := s.Write(nil)
		return s, s.Handle(), err
	}
	var err error
	if in, ok := shortInput(c.Stdin); ok {
		q.Input = in
	} else if c.Stdin != nil || c.pipedIn != nil {
		if r.stdin, q.Stdin, err = stream(); err != nil {
			return err
		}
		if c.pipedIn != nil {
			c.pipedIn.s = r.stdin
		}
	}
	add := func(w io.Writer, h *core.Handle) error {
		if w == nil {
			return nil
		}
		var s *router.Stream
		if s, *h, err = stream(); err != nil {
			return err
		}
		r.outputs = append(r.outputs, s)
		if p, ok := w.(*commandPipe); ok {
			p.s = s
		}
		return nil
	}
	if err := add(c.Stdout, &q.Stdout); err != nil || q.Flags&command.Merged != 0 {
		return err
	}
	return add(c.Stderr, &q.Stderr)
}

// begin starts the goroutines of a command that runs.
func (r *commandRun) begin(c *Command) {
	go r.listen()
	if r.stdin != nil && c.pipedIn == nil {
		r.input = copyInput(r.stdin, c.Stdin)
	}
	writers := []io.Writer{c.Stdout, c.Stderr}
	if c.Stdout == nil {
		writers = writers[1:]
	}
	for i, s := range r.outputs {
		if _, ok := writers[i].(*commandPipe); !ok {
			r.copies.Go(func() { r.copyOutput(writers[i], s) })
		}
	}
	r.unwatch = context.AfterFunc(c.ctx, func() { r.kill(context.Cause(c.ctx)) })
}

// copyOutput copies to the end. A writer that fails closes the command's
// output, as it would close a pipe.
func (r *commandRun) copyOutput(w io.Writer, s *router.Stream) {
	_, err := io.Copy(w, s)
	if err == nil {
		s.Close()
		return
	}
	s.Reset(syscall.EPIPE)
	r.mu.Lock()
	r.outErr = cmp.Or(r.outErr, err)
	r.mu.Unlock()
}

// listen takes the events.
func (r *commandRun) listen() {
	for {
		e, err := command.Receive[command.Event](r.events)
		switch {
		case err == nil && e.Kind == command.EventDone:
			r.mu.Lock()
			if len(r.pending) > 0 {
				if e.Err != nil {
					r.pending[0] <- core.DecodeError(e.Err)
				} else {
					r.pending[0] <- nil
				}
				r.pending = r.pending[1:]
			}
			r.mu.Unlock()
			continue
		case err == nil && e.Kind == command.EventExited && e.State != nil:
			s := stateOf(e.State)
			r.state = &s
			if e.Err != nil {
				r.why = core.DecodeError(e.Err)
			}
		default:
			r.lost = cmp.Or(err, core.ErrProtocol)
		}
		break
	}
	r.mu.Lock()
	r.over = true
	for _, p := range r.pending {
		p <- cmp.Or(r.lost, os.ErrProcessDone)
	}
	r.pending = nil
	r.mu.Unlock()
	close(r.exited)
}

// order has the far side do something, and waits for the answer.
func (r *commandRun) order(o command.Order) error {
	done := make(chan error, 1) // one is sent, by listen
	r.orders.Lock()
	r.mu.Lock()
	over := r.over
	if !over {
		r.pending = append(r.pending, done)
	}
	r.mu.Unlock()
	if over {
		r.orders.Unlock()
		return cmp.Or(r.lost, os.ErrProcessDone)
	}
	// If this fails, listen hears of it as well.
	_ = r.orders.SendLocked(o)
	r.orders.Unlock()
	return <-done
}

// killSlack is how long, beyond KillDelay, a command that is killed may take to
// be reported as ended. A process that waits for a dead disk takes longer.
const killSlack = 5 * time.Second

// kill asks the far side to end the command. When it does not say within bounds
// that it did, nobody waits any more; it still does so when it finds out.
func (r *commandRun) kill(cause error) {
	limit := r.killDelay + killSlack
	r.control.SetWriteDeadline(time.Now().Add(limit))
	if err := r.orders.Send(command.Order{Kind: command.OrderKill}); err != nil {
		r.abandon(cause)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.finished {
		r.patience = time.AfterFunc(limit, func() { r.abandon(cause) })
	}
}

// abandon ends all streams, which kills the command if it runs.
func (r *commandRun) abandon(err error) {
	for _, s := range append([]*router.Stream{r.control, r.stdin}, r.outputs...) {
		if s != nil {
			s.Reset(err)
		}
	}
}

// Wait waits for the end of a command that Start has started, and for its
// output. It closes the pipes that StdoutPipe and StderrPipe returned, so they
// have to be read before.
func (c *Command) Wait() error {
	r := c.run.Load()
	if r == nil {
		return c.wrap(errors.New("the command was not started"))
	}
	if !c.waited.CompareAndSwap(false, true) {
		return c.wrap(errors.New("Wait was called before"))
	}
	<-r.exited
	inputErr := r.endInput()
	for _, p := range c.pipes {
		p.Close()
	}
	r.copies.Wait()
	r.unwatch()
	r.mu.Lock()
	r.finished = true
	if r.patience != nil {
		r.patience.Stop()
	}
	outErr := r.outErr
	r.mu.Unlock()
	r.control.Close()
	c.ProcessState = r.state
	return c.wrap(c.verdict(r, inputErr, outErr))
}

// verdict makes one error of what is known.
func (c *Command) verdict(r *commandRun, inputErr, outErr error) error {
	switch {
	case r.lost != nil && c.ctx.Err() != nil:
		return context.Cause(c.ctx)
	case r.lost != nil:
		return r.lost
	case r.why != nil:
		why := r.why
		if inputErr != nil {
			why = inputErr
		}
		if c.ctx.Err() != nil {
			why = context.Cause(c.ctx)
		}
		return fmt.Errorf("%w (%v)", why, r.state)
	}
	if outErr != nil && c.ctx.Err() != nil {
		outErr = fmt.Errorf("%w: %w", context.Cause(c.ctx), outErr)
	}
	if r.state.Success() {
		return outErr
	}
	exit := &ExitError{ProcessState: *r.state}
	if outErr != nil {
		return fmt.Errorf("%w; and its output is not complete: %w", exit, outErr)
	}
	return exit
}

// Signal sends a signal to the process, and returns when that is done or why it
// could not be: os.ErrProcessDone if the command has ended. Signals travel by
// name, since their numbers differ between systems.
func (c *Command) Signal(sig os.Signal) error { return c.signal(command.OrderSignal, sig) }

// SignalGroup is Signal for the process group of the command, which is what a
// terminal does at Ctrl-C: what the command started gets it, too, unless it
// moved to a group of its own.
func (c *Command) SignalGroup(sig os.Signal) error { return c.signal(command.OrderSignalGroup, sig) }

func (c *Command) signal(kind uint8, sig os.Signal) error {
	s, ok := sig.(syscall.Signal)
	if !ok || s <= 0 {
		return c.wrap(fmt.Errorf("%w: %v is not a signal that can be sent", os.ErrInvalid, sig))
	}
	w := command.NewSignal(s)
	return c.order(command.Order{Kind: kind, Signal: &w})
}

// Resize tells the command's terminal its new size, in characters. Whoever has
// it as controlling terminal gets SIGWINCH.
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
	r := c.run.Load()
	if r == nil {
		return c.wrap(errors.New("the command was not started"))
	}
	return c.wrap(r.order(o))
}
