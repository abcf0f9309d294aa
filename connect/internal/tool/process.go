//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd || solaris

package tool

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/bootstrap/pipe"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
)

const (
	// stderrTime bounds the reading of standard error once the tool has ended: processes
	// that it left in the background may hold it open.
	stderrTime = 500 * time.Millisecond
	// orphanTime is how long the far side may take to speak once the tool has ended.
	orphanTime = time.Second
)

// process is a running tool, and the carrier that it makes.
//
// Goroutines, which have all ended when Close returns: watch waits for the end of the tool and
// for the first word of the far side; dialogue.loop answers questions; listen reads the
// terminal, unless that is the pipe; one of os/exec copies standard error.
type process struct {
	// Immutable once start has returned.
	tool     *Tool
	cmd      *exec.Cmd
	in, out  *os.File   // our ends of the tool's standard output and input; nil if term is the pipe
	pipe     *pipe.Pipe // of in and out
	term     *terminal  // nil if the tool has none
	dialogue *dialogue  // nil without a terminal
	// noTerminal says why there is no terminal, if the tool could have used one.
	noTerminal error
	ready      <-chan struct{}
	stop       context.CancelFunc // ends dialogue.loop
	stderr     *Words
	shown      *Words // the output of the terminal

	exited  chan struct{} // closed by watch when the tool has ended
	heard   chan struct{} // closed by watch when stderr and shown are complete
	closing chan struct{} // closed by Close
	tasks   sync.WaitGroup

	// Written by watch before exited is closed.
	waitErr  error
	answered bool // the far side spoke before the tool ended
	orphans  bool // processes of its group outlived it

	isRaw atomic.Bool // the payload has begun on a terminal
	// early has the output on the pipe from before the far side spoke: some tools, such as
	// docker exec, print their errors there.
	early    *Words
	released atomic.Bool // see Release
	hasBegun atomic.Bool // the far side has spoken: early gets nothing any more

	mu     sync.Mutex
	reason error // guarded by mu; why the dialogue failed

	severOnce, hangUpOnce sync.Once
	closeOnce             sync.Once
	closeErr              error
}

// Start starts a tool. Questions have the values of ctx, but do not end with it.
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

// prepareDialogue makes the dialogue, if there is a terminal for it.
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
	p.dialogue.echoes = p.shown.answered
	p.dialogue.quiet = p.tool.Terminal == connect.TerminalOnly
	if p.tool.Tells {
		p.stderr.tell = p.dialogue.note
	}
}

// startLoops starts the goroutines.
func (p *process) startLoops(ctx context.Context) {
	// Questions may come long after Open has returned. They end with Close or the tool.
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

// listen reads the terminal beside the pipe to its end. If nobody did, a tool that writes to
// it would stop.
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
	// The kernel does not reuse the ID of a process group while a member lives.
	p.orphans = syscall.Kill(-p.cmd.Process.Pid, 0) != syscall.ESRCH
	p.stop()
	close(p.exited)
	if p.term != nil {
		p.term.letGo()
		timer := time.NewTimer(stderrTime)
		select {
		case <-listening:
		case <-timer.C: // a process in the background has it open
		}
		timer.Stop()
	}
	p.tool.Settled()
	close(p.heard)
	if !p.answered {
		// Processes in the background may hold the pipe open. The reader must not wait
		// for a far side that can't start any more.
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

// PID is the number of the process.
func (p *process) PID() int { return p.cmd.Process.Pid }
