package connect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// starter starts all tools from one operating system thread that never ends:
// the kernel sends the parent-death signal when the thread that started a
// process ends, not when the process that the thread belongs to does.
var starter = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

func startOnThread(cmd *exec.Cmd) error {
	done := make(chan error)
	starter() <- func() { done <- cmd.Start() }
	return <-done
}

// closeGrace is how long a tool may take to end by itself once its pipe is
// closed. What goes on is killed.
const closeGrace = 2 * time.Second

// tool says how to start one.
type tool struct {
	hop     string
	env     *Env
	path    string
	args    []string // args[0] is the name
	environ []string // nil: our own

	// terminal gives the tool a controlling terminal on which its prompts
	// are answered.
	terminal bool
	secret   Secret
	token    string // the prompt, where the tool lets us choose it

	// classify finds the class of a failure in what the tool said; nil for a
	// tool of which nothing is known.
	classify func(said string) error
}

// process is a tool that runs, and the carrier that it makes.
type process struct {
	// Immutable.
	tool tool
	cmd  *exec.Cmd
	pipe *os.File // one end of a socket; the tool's standard input and output are the other
	said *lastWords
	talk *dialogue // nil without a terminal

	exited chan struct{} // closed by the goroutine that waits for the tool
	err    error         // of Wait; set before exited is closed

	mu     sync.Mutex
	reason error // guarded by mu; why the dialogue failed

	closeOnce sync.Once
}

// startTool starts a tool with standard input and output on a socket. A
// goroutine waits for its end, and one more talks on its terminal; both have
// ended when Close returns.
func startTool(ctx context.Context, t tool) (*process, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &Error{Hop: t.hop, Err: fmt.Errorf("%w: %w", ErrStart, err)}
	}
	_ = unix.SetNonblock(fds[0], true) // else Close would not unblock Read
	p := &process{
		tool: t, pipe: os.NewFile(uintptr(fds[0]), t.hop),
		said: &lastWords{log: t.env.Log, label: t.hop}, exited: make(chan struct{}),
	}
	far := os.NewFile(uintptr(fds[1]), t.hop)
	defer far.Close()
	p.cmd = &exec.Cmd{
		Path: t.path, Args: t.args, Env: t.environ, Stdin: far, Stdout: far, Stderr: p.said, WaitDelay: closeGrace,
		SysProcAttr: ownSession(),
	}
	if t.terminal {
		master, slave, err := openTerminal()
		if err != nil {
			p.pipe.Close()
			return nil, &Error{Hop: t.hop, Phase: "opening a terminal", Err: fmt.Errorf("%w: %w", ErrStart, err)}
		}
		defer slave.Close()
		p.cmd.ExtraFiles = []*os.File{slave}
		p.cmd.SysProcAttr.Setctty, p.cmd.SysProcAttr.Ctty = true, 3
		p.talk = &dialogue{
			ctx: ctx, env: t.env, master: master, secret: t.secret, path: t.hop,
			match: matcher{token: t.token}, fail: p.fail, done: make(chan struct{}),
		}
	}
	if err := startOnThread(p.cmd); err != nil {
		p.pipe.Close()
		if p.talk != nil {
			p.talk.master.Close()
		}
		return nil, &Error{Hop: t.hop, Err: fmt.Errorf("%w: %w", ErrStart, err)}
	}
	if p.talk != nil {
		go p.talk.run()
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) Read(b []byte) (int, error)  { return p.pipe.Read(b) }
func (p *process) Write(b []byte) (int, error) { return p.pipe.Write(b) }

// fail ends the tool because of its dialogue.
func (p *process) fail(err error) {
	p.mu.Lock()
	if p.reason == nil {
		p.reason = err
	}
	p.mu.Unlock()
	// The end of the pipe is what the reader of the carrier sees.
	_ = unix.Shutdown(p.socket(), unix.SHUT_RDWR)
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
}

func (p *process) socket() int {
	fd := -1
	if conn, err := p.pipe.SyscallConn(); err == nil {
		_ = conn.Control(func(f uintptr) { fd = int(f) })
	}
	return fd
}

// Close implements bootstrap.Carrier. The tool sees the end of its input and
// the hang-up of its terminal; what does not heed that is killed.
func (p *process) Close() error {
	p.closeOnce.Do(func() {
		p.pipe.Close()
		grace := time.NewTimer(closeGrace)
		defer grace.Stop()
		select {
		case <-p.exited:
		case <-grace.C:
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		}
		if p.talk != nil {
			p.talk.master.Close()
			<-p.talk.done
		}
	})
	<-p.exited
	return nil
}

// Cause implements bootstrap.Carrier.
func (p *process) Cause(ctx context.Context) error {
	p.mu.Lock()
	reason := p.reason
	p.mu.Unlock()
	if reason == nil {
		select {
		case <-p.exited:
		case <-ctx.Done():
			return nil
		}
	}
	said := p.output()
	if reason != nil {
		return &Error{Hop: p.tool.hop, Phase: "answering its prompts", Err: reason, Output: said}
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		return &Error{Hop: p.tool.hop, Err: fmt.Errorf("%w: %w", ErrEOF, p.err), Output: said}
	}
	class := ErrEOF
	if p.tool.classify != nil {
		class = p.tool.classify(said)
	}
	return &Error{Hop: p.tool.hop, Err: fmt.Errorf("%w (%v)", class, p.cmd.ProcessState), Output: said}
}

// output is what the tool said, on its standard error and on its terminal.
func (p *process) output() string {
	parts := []string{p.said.String()}
	if p.talk != nil {
		parts = append(parts, p.talk.text())
	}
	return strings.Trim(strings.Join(parts, " / "), " /")
}
