package command

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// Stdio are the standard streams of a command at the side of its caller.
type Stdio struct {
	Stdin          io.Reader // nil: there is none, or a pipe
	StdinPipe      *Pipe     // nil: there is none, or a reader
	Stdout, Stderr io.Writer // nil: discarded at the far side; a *Pipe is read by the caller
}

// Running is a command under way, as its caller sees it.
//
// Goroutines: listen reads the events, until the command's end; one copies Stdin, if
// there is one; one copies each output for which there is a writer; one, started when
// ctx ends, kills. Wait waits for all of them but a copy of Stdin that is inside of Read.
type Running struct {
	// Immutable once Begin has returned.
	io        Stdio
	control   *router.Stream
	events    *bufio.Reader // read by Begin, then by listen
	orders    *Sender
	stdin     *router.Stream // nil: none
	outputs   []*router.Stream
	killDelay time.Duration
	unwatch   func() bool // ends the watch over ctx
	input     *input
	copies    sync.WaitGroup // of output
	exited    chan struct{}  // closed by listen

	end End // written by listen before exited is closed

	mu      sync.Mutex
	over    bool         // guarded by mu: no event comes any more
	pending []chan error // guarded by mu: orders that were not answered
	outErr  error        // guarded by mu: the first failure of an output
	// Guarded by mu: Wait is through, and the timer that it stops if a kill was sent.
	finished bool
	patience *time.Timer
}

// End is how a command ended.
type End struct {
	State *State // nil: see Lost
	Why   error  // the far side killed the command for this
	Lost  error  // the end of the command will never be known
	// The first failures of the reader and of the writers that the caller gave.
	Input, Output error
}

// inlineInput is how much of standard input the request can carry. More would make it a
// message of more than one frame, which gains nothing.
const inlineInput = 16 << 10

// Open makes the streams that a command needs by newStream, and puts their handles into
// the request. Begin or Abandon has to follow, also after an error.
func Open(std Stdio, q *Request, newStream func() *router.Stream) (*Running, error) {
	r := &Running{io: std, killDelay: max(q.KillDelay, 0), exited: make(chan struct{})}
	return r, r.openStreams(q, newStream)
}

func (r *Running) openStreams(q *Request, newStream func() *router.Stream) error {
	stream := func() (*router.Stream, core.Handle, error) {
		s := newStream()
		// If there are too many, the far side need not hear of it.
		_, err := s.Write(nil)
		return s, s.Handle(), err
	}
	var err error
	if in, ok := shortInput(r.io.Stdin); ok {
		q.Input = in
	} else if r.io.Stdin != nil || r.io.StdinPipe != nil {
		if r.stdin, q.Stdin, err = stream(); err != nil {
			return err
		}
		if r.io.StdinPipe != nil {
			r.io.StdinPipe.s = r.stdin
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
		if p, ok := w.(*Pipe); ok {
			p.s = s
		}
		return nil
	}
	if err := add(r.io.Stdout, &q.Stdout); err != nil || q.Flags&Merged != 0 {
		return err
	}
	return add(r.io.Stderr, &q.Stderr)
}

// Begin waits until the command runs, and returns its process ID. control is the stream
// of the call. When ctx ends, the command is killed.
func (r *Running) Begin(ctx context.Context, control *router.Stream) (pid int, err error) {
	r.control = control
	r.events, r.orders = bufio.NewReaderSize(control, 512), NewSender(control)
	stop := context.AfterFunc(ctx, func() { control.Reset(context.Cause(ctx)) })
	e, err := Receive[Event](r.events)
	if err == nil && (e.Kind != EventStarted || e.State == nil) {
		err = core.ErrProtocol
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		return 0, err
	}
	go r.listen()
	if r.stdin != nil && r.io.StdinPipe == nil {
		r.input = copyInput(r.stdin, r.io.Stdin)
	}
	writers := []io.Writer{r.io.Stdout, r.io.Stderr}
	if r.io.Stdout == nil {
		writers = writers[1:]
	}
	for i, s := range r.outputs {
		if _, ok := writers[i].(*Pipe); !ok {
			r.copies.Go(func() { r.copyOutput(writers[i], s) })
		}
	}
	r.unwatch = context.AfterFunc(ctx, func() { r.kill(context.Cause(ctx)) })
	return e.State.PID, nil
}

// copyOutput copies to the end. A writer that fails closes the command's output, as it
// would close a pipe.
func (r *Running) copyOutput(w io.Writer, s *router.Stream) {
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
func (r *Running) listen() {
	for {
		e, err := Receive[Event](r.events)
		switch {
		case err == nil && e.Kind == EventDone:
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
		case err == nil && e.Kind == EventExited && e.State != nil:
			r.end.State = e.State
			if e.Err != nil {
				r.end.Why = core.DecodeError(e.Err)
			}
		default:
			r.end.Lost = cmp.Or(err, core.ErrProtocol)
		}
		break
	}
	r.mu.Lock()
	r.over = true
	for _, p := range r.pending {
		p <- cmp.Or(r.end.Lost, os.ErrProcessDone)
	}
	r.pending = nil
	r.mu.Unlock()
	close(r.exited)
}

// Order has the far side do something, and waits for the answer.
func (r *Running) Order(o Order) error {
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
		return cmp.Or(r.end.Lost, os.ErrProcessDone)
	}
	// If this fails, listen hears of it as well.
	_ = r.orders.SendLocked(o)
	r.orders.Unlock()
	return <-done
}

// killSlack is how long, beyond KillDelay, a command that is killed may take to be
// reported as ended. A process that waits for a dead disk takes longer.
const killSlack = 5 * time.Second

// kill asks the far side to end the command. If it does not report the end within
// bounds, Wait waits no longer; the far side ends the command when it hears of that.
func (r *Running) kill(cause error) {
	limit := r.killDelay + killSlack
	r.control.SetWriteDeadline(time.Now().Add(limit))
	if err := r.orders.Send(Order{Kind: OrderKill}); err != nil {
		r.Abandon(cause)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.finished {
		r.patience = time.AfterFunc(limit, func() { r.Abandon(cause) })
	}
}

// Abandon ends all streams, which kills the command if it runs.
func (r *Running) Abandon(err error) {
	for _, s := range append([]*router.Stream{r.control, r.stdin}, r.outputs...) {
		if s != nil {
			s.Reset(err)
		}
	}
}

// Wait waits for the end of a command that Begin has seen running, and for its output.
// It closes the pipes.
func (r *Running) Wait(pipes []*Pipe) End {
	<-r.exited
	r.end.Input = r.endInput()
	for _, p := range pipes {
		p.Close()
	}
	r.copies.Wait()
	r.unwatch()
	r.mu.Lock()
	r.finished = true
	if r.patience != nil {
		r.patience.Stop()
	}
	r.end.Output = r.outErr
	r.mu.Unlock()
	r.control.Close()
	return r.end
}

// endInput ends the copying of Stdin once the command has ended, and returns the error of
// reading, if there was one.
func (r *Running) endInput() error {
	if r.stdin == nil {
		return nil
	}
	r.stdin.Close()
	if r.input == nil {
		return nil
	}
	return r.input.stop()
}
