//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd || solaris

package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
)

// How a tool that works is ended: its pipe is closed, which ends the far side
// and then the tool; after orderlyTime its terminal is hung up and its process
// group gets SIGHUP and SIGTERM; after closeGrace more it is killed; after
// killTime more we stop waiting, for a process that can't be killed: one stuck
// in the kernel, or another user's that heeds no hang-up.
const (
	orderlyTime = 500 * time.Millisecond
	closeGrace  = 2 * time.Second
	killTime    = 2 * time.Second
	// stderrTime is how long standard error is read on once the tool itself
	// has ended: what it left behind in the background may hold it open.
	stderrTime = 500 * time.Millisecond
	// undoTime bounds, beyond all of that, what takes away a container that has
	// survived its tool.
	undoTime = 10 * time.Second
	// orphanTime is how long the far side may still speak once the tool has
	// ended.
	orphanTime = time.Second
)

// process is a tool that runs, and the carrier that it makes.
//
// Goroutines, all ended when Close returns: watch waits for the tool's end and
// for the far side's first word; talk runs the dialogue; listen reads the
// terminal, unless that is the pipe; one of os/exec copies standard error.
type process struct {
	// Immutable once start has returned.
	tool     *Tool
	cmd      *exec.Cmd
	in, out  *os.File        // our ends of the tool's standard output and input; nil where term is the pipe
	pipe     *bootstrap.Pipe // of the two
	term     *terminal       // nil without
	dialogue *dialogue       // nil without a terminal
	// noTerminal is why there is none, where the tool could have used one.
	noTerminal error
	ready      <-chan struct{}
	stop       context.CancelFunc // ends talk
	stderr     *Words
	shown      *Words // what the terminal showed

	exited  chan struct{} // closed by watch
	heard   chan struct{} // closed by watch: all that the tool said is in stderr and shown
	closing chan struct{} // closed by Close
	tasks   sync.WaitGroup

	// Written by watch before exited is closed.
	waitErr  error
	answered bool // the far side spoke before the tool ended
	orphans  bool // processes of its group outlived it

	isRaw atomic.Bool // the payload has begun on a terminal
	// early is what came on the pipe before the far side had spoken: some tools
	// say there why they fail, docker exec among them.
	early    *Words
	released atomic.Bool // see Release
	hasBegun atomic.Bool // the far side has spoken; nothing goes to early any more

	mu     sync.Mutex
	reason error // guarded by mu; why the dialogue failed

	severOnce, hangUpOnce sync.Once
	closeOnce             sync.Once
	closeErr              error
}

// Start starts a tool. ctx lends its values, not its end, to the asking of
// questions.
func Start(ctx context.Context, e *connect.OpenRequest, t *Tool) (bootstrap.Carrier, error) {
	settled := t.Settled
	if settled == nil {
		settled = func() {}
	}
	p := &process{tool: t, ready: e.Ready,
		exited: make(chan struct{}), heard: make(chan struct{}), closing: make(chan struct{})}
	p.tool.Settled = sync.OnceFunc(settled)
	if err := p.start(ctx, e); err != nil {
		p.tool.Settled()
		return nil, &connect.Error{Hop: t.Hop, Phase: "starting " + t.Program, Err: err, Hint: t.missingHint(err)}
	}
	return p, nil
}

func (p *process) start(ctx context.Context, e *connect.OpenRequest) error {
	path, err := p.tool.lookUp()
	if err != nil {
		return err
	}
	name := p.tool.Name
	if name == "" {
		name = p.tool.Program
	}
	hidden := &Secrets{token: p.tool.Token, instead: p.tool.Instead}
	p.stderr = NewWords(e.Log, OnStderr, hidden)
	p.shown = NewWords(e.Log, OnTerminal, hidden)
	p.early = NewWords(nil, "", hidden)
	p.cmd = &exec.Cmd{
		Path: path, Args: append([]string{name}, p.tool.Args...),
		Stderr: p.stderr, WaitDelay: stderrTime, SysProcAttr: ownSession(),
	}
	if len(p.tool.Environ) > 0 {
		p.cmd.Env = append(os.Environ(), p.tool.Environ...)
	}
	theirs, err := p.connect()
	defer closeAll(theirs)
	p.prepareDialogue(e, hidden)
	if err == nil {
		err = StartOnThread(p.cmd)
	}
	if err != nil {
		p.sever()
		p.hangUp()
		return failure.Classify(connect.ErrStart, err)
	}
	p.startLoops(ctx)
	return nil
}

// connect makes the pipe and the terminal, and returns the tool's ends.
func (p *process) connect() (theirs []*os.File, err error) {
	if p.tool.Terminal != connect.TerminalNone {
		p.term, err = openTerminal()
		if err != nil && p.tool.Terminal == connect.TerminalOnly {
			return nil, fmt.Errorf("opening a terminal: %w", err)
		}
		// Without one the tool may still have nothing to ask, and says so
		// otherwise.
		p.noTerminal = err
	}
	if p.term != nil {
		p.cmd.SysProcAttr.Setctty = true
	}
	if p.tool.Terminal == connect.TerminalOnly {
		p.cmd.Stdin, p.cmd.Stdout = p.term.inner, p.term.inner
		return nil, nil
	}
	if p.tool.OnSocket {
		return p.connectSocket()
	}
	stdin, out, err := os.Pipe() // os/exec makes the tool's end blocking
	if err != nil {
		return nil, err
	}
	p.out = out
	in, stdout, err := os.Pipe()
	if err != nil {
		return []*os.File{stdin}, err
	}
	p.in = in
	p.pipe = bootstrap.NewPipe(in, out)
	switch {
	case p.tool.Terminal == connect.TerminalStdio:
		p.cmd.ExtraFiles = []*os.File{stdin, stdout} // see takePayload
		p.cmd.Stdout = p.stderr
		if p.term != nil {
			p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.term.inner, p.term.inner, p.term.inner
		}
	case p.term != nil:
		p.cmd.ExtraFiles, p.cmd.SysProcAttr.Ctty = []*os.File{p.term.inner}, 3 // a number in the tool
		fallthrough
	default:
		p.cmd.Stdin, p.cmd.Stdout = stdin, stdout
	}
	return []*os.File{stdin, stdout}, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// prepareDialogue makes what answers questions, if there is a terminal for them.
func (p *process) prepareDialogue(e *connect.OpenRequest, hidden *Secrets) {
	if p.term == nil {
		return
	}
	if p.tool.Answers.Recognise == nil {
		p.tool.Answers.Recognise = AnyPrompt
	}
	p.dialogue = newDialogue(e, p.tool.Hop, p.tool.Answers, p.term, hidden, p.fail)
	p.dialogue.busy = func() bool { return isBusy(p.cmd.Process.Pid) }
	p.dialogue.waits = func() waiting { return waitsFor(p.cmd.Process.Pid) }
	p.dialogue.quiet = p.tool.Terminal == connect.TerminalOnly
	if p.tool.Tells {
		p.stderr.tell = p.dialogue.note
	}
}

// startLoops starts the goroutines.
func (p *process) startLoops(ctx context.Context) {
	// The opening may end long before the asking does; what ends the
	// asking is Close, or the end of the tool.
	asking, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	listening := make(chan struct{})
	if p.term == nil {
		close(listening)
	} else {
		p.tasks.Go(func() { p.dialogue.loop(asking) })
		if p.tool.Terminal == connect.TerminalOnly {
			close(listening)
		} else {
			p.tasks.Go(func() {
				defer close(listening)
				p.listen()
			})
		}
	}
	p.tasks.Go(func() { p.watch(listening) })
}

// listen reads the terminal beside the pipe to its end; a tool that wrote to
// one that nobody reads would come to a stop.
func (p *process) listen() {
	b := make([]byte, 4096)
	for {
		n, err := p.term.Read(b)
		if n > 0 {
			_, _ = p.shown.Write(b[:n])
			p.dialogue.feed(b[:n])
		}
		if err != nil {
			return
		}
	}
}

// watch waits for the tool.
func (p *process) watch(listening <-chan struct{}) {
	ended := make(chan struct{})
	p.tasks.Go(func() {
		p.waitErr = p.cmd.Wait()
		close(ended)
	})
	select {
	case <-ended:
		p.answered = IsClosed(p.ready)
	case <-p.ready:
		p.answered = true
		p.tool.Settled()
		<-ended
	}
	// As long as one of its members lives, the number of a group is not
	// given to another.
	p.orphans = syscall.Kill(-p.cmd.Process.Pid, 0) != syscall.ESRCH
	p.stop()
	close(p.exited)
	if p.term != nil {
		p.term.letGo()
		timer := time.NewTimer(stderrTime)
		select {
		case <-listening:
		case <-timer.C: // something in the background has it open
		}
		timer.Stop()
	}
	p.tool.Settled()
	close(p.heard)
	if !p.answered {
		// What the tool left behind may hold the pipe open; nobody should
		// wait for a far side that can't come any more.
		timer := time.NewTimer(orphanTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			p.sever()
		case <-p.ready:
		case <-p.closing:
		}
	}
}

func (p *process) Read(b []byte) (int, error) {
	if p.pipe != nil {
		n, err := p.pipe.Read(b)
		if n > 0 && !p.hasBegun.Load() {
			if IsClosed(p.ready) {
				p.hasBegun.Store(true)
			} else {
				_, _ = p.early.Write(b[:n])
			}
		}
		return n, err
	}
	n, err := p.term.Read(b)
	if n > 0 && !p.isRaw.Load() {
		_, _ = p.shown.Write(b[:n])
		p.dialogue.feed(b[:n])
	}
	if errors.Is(err, syscall.EIO) {
		err = io.EOF // nobody has the other side open any more
	}
	return n, err
}

func (p *process) Write(b []byte) (int, error) {
	if p.pipe != nil {
		return p.pipe.Write(b)
	}
	if !p.isRaw.Load() {
		if strings.Trim(string(b), "\n") == "" {
			return len(b), nil // meant to wake a profile; here it would answer a prompt
		}
		if err := p.term.raw(); err != nil {
			return 0, err
		}
		p.isRaw.Store(true)
	}
	return p.term.Write(b)
}

// TryWrite writes what the pipe has room for, without waiting: see
// [bootstrap.Pipe]. A terminal is slower than what would be gained.
func (p *process) TryWrite(b []byte) int {
	if p.pipe == nil {
		return 0
	}
	return p.pipe.TryWrite(b)
}

// fail ends the tool because of its dialogue. The reader of the carrier sees
// the end of the pipe and asks for the cause.
func (p *process) fail(err error) {
	p.mu.Lock()
	if p.reason == nil {
		p.reason = err
	}
	p.mu.Unlock()
	p.sever()
	p.hangUp()
}

// sever closes the pipe.
func (p *process) sever() {
	p.severOnce.Do(func() {
		if p.out != nil {
			_ = p.out.Close()
		}
		if p.in != nil {
			_ = p.in.Close()
		}
	})
}

// hangUp asks the tool to end. sudo runs as root, so that an ordinary user's
// signals don't reach it; the hang-up of its terminal does.
func (p *process) hangUp() {
	p.hangUpOnce.Do(func() {
		if p.term != nil {
			p.term.close()
		}
		p.signal(syscall.SIGHUP, syscall.SIGCONT, syscall.SIGTERM)
	})
}

// signal reaches all processes that the tool has in its group.
func (p *process) signal(signals ...syscall.Signal) {
	if p.cmd == nil || p.cmd.Process == nil || IsClosed(p.exited) && !p.orphans {
		return
	}
	for _, s := range signals {
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// Close implements bootstrap.Carrier.
func (p *process) Close() error {
	p.closeOnce.Do(func() { p.closeErr = p.close() })
	return p.closeErr
}

func (p *process) close() error {
	close(p.closing)
	p.stop()
	p.sever()
	if p.released.Load() && p.tool.IsFarSide {
		return nil
	}
	if !IsClosed(p.ready) || p.tool.Terminal == connect.TerminalOnly {
		p.hangUp() // there is no far side yet, or no other way to tell it
	}
	orderly := p.endsWithin(orderlyTime)
	p.hangUp()
	if !orderly && !p.endsWithin(closeGrace) {
		p.signal(syscall.SIGKILL)
		if !p.endsWithin(killTime) {
			return &connect.Error{Hop: p.tool.Hop, Phase: "closing", Err: fmt.Errorf("%s, process %d, does not end and can't be killed",
				p.tool.Program, p.cmd.Process.Pid)}
		}
	}
	if p.orphans {
		p.signal(syscall.SIGKILL)
	}
	p.tasks.Wait()
	if p.tool.Undo != nil && !(orderly && p.cmd.ProcessState.Success()) {
		return p.undo()
	}
	return nil
}

// PID is the number of the process.
func (p *process) PID() int { return p.cmd.Process.Pid }

// undo takes away what the tool has made, if it still can be found. The tool
// may have ended before it had made anything.
func (p *process) undo() error {
	ctx, cancel := context.WithTimeout(context.Background(), undoTime)
	defer cancel()
	argv := append([]string{p.cmd.Path}, p.tool.Undo...)
	_, err := Run(ctx, p.tool.Hop, "removing what is left", argv, p.tool.Explain)
	if errors.Is(err, connect.ErrNoContainer) {
		return nil
	}
	return err
}

func (p *process) endsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// Cause implements bootstrap.Carrier.
func (p *process) Cause(ctx context.Context) error {
	p.mu.Lock()
	reason := p.reason
	p.mu.Unlock()
	select {
	case <-p.heard:
	case <-ctx.Done():
		if reason == nil {
			return nil
		}
	}
	e := &connect.Error{Hop: p.tool.Hop, Err: reason, Output: p.output()}
	switch {
	case reason != nil:
		e.Phase = "answering its questions"
	case p.answered:
		e.Err = failure.Classify(connect.ErrEOF, fmt.Errorf("%s ended: %s", p.tool.Program, p.status()))
	default:
		e.Phase = "starting the far side"
		v := p.explain()
		e.Err, e.Hint = v.Class, v.Hint
		if e.Hint == "" && p.noTerminal != nil {
			e.Hint = "it may have had something to ask, for which no terminal could be opened: " + p.noTerminal.Error()
		}
	}
	return e
}

// explain judges an end before the far side had spoken.
func (p *process) explain() failure.Verdict {
	var exit *exec.ExitError
	if p.waitErr != nil && !errors.As(p.waitErr, &exit) && !errors.Is(p.waitErr, exec.ErrWaitDelay) {
		return failure.Verdict{Class: fmt.Errorf("%w: %w", connect.ErrEOF, p.waitErr)}
	}
	if p.tool.Explain != nil {
		how := Ending{Status: p.cmd.ProcessState, Said: strings.Split(p.output(), " / ")}
		if early := p.early.String(); early != "" {
			how.Said = append(strings.Split(early, " / "), how.Said...)
		}
		if p.dialogue != nil {
			how.Tally = p.dialogue.count()
		}
		if v := p.tool.Explain(how); v.Class != nil {
			if v.Class == connect.ErrPassword && how.Tally.Passwords > 0 && how.Tally.Other != "" {
				v.Class = incorrectAnswer(how.Tally.Other)
			}
			return v
		}
	}
	return failure.Verdict{Class: fmt.Errorf("%w: %s: %s", connect.ErrEOF, p.tool.Program, p.status())}
}

func (p *process) status() string { return p.cmd.ProcessState.String() }

// Said is what the tool has said so far, for an error that its end has no part in.
func (p *process) Said() string { return p.output() }

// output is what the tool said, on its terminal and on its standard error.
func (p *process) output() string {
	var parts []string
	for _, w := range []*Words{p.shown, p.stderr} {
		if s := w.String(); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " / ")
}
