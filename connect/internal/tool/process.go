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
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
)

const (
	// stderrTime is how long standard error is read on once the tool itself
	// has ended: what it left behind in the background may hold it open.
	stderrTime = 500 * time.Millisecond
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
	p.dialogue.echoes = p.shown.answered
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

// PID is the number of the process.
func (p *process) PID() int { return p.cmd.Process.Pid }
