package connect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
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

// process is a tool that runs, and the carrier that it makes.
type process struct {
	// Immutable.
	hop  string
	cmd  *exec.Cmd
	pipe *os.File // one end of a socket; the tool's standard input and output are the other
	said *lastWords

	exited chan struct{} // closed by the goroutine that waits for the tool
	err    error         // of Wait; set before exited is closed

	closeOnce sync.Once
}

// startProcess runs a command with standard input and output on a socket.
func startProcess(hop string, e *Env, path string, argv []string) (*process, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &Error{Hop: hop, Err: fmt.Errorf("%w: %w", ErrStart, err)}
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, err
	}
	p := &process{
		hop: hop, pipe: os.NewFile(uintptr(fds[0]), hop),
		said: &lastWords{log: e.Log, label: hop}, exited: make(chan struct{}),
	}
	far := os.NewFile(uintptr(fds[1]), hop)
	defer far.Close()
	p.cmd = &exec.Cmd{
		Path: path, Args: argv, Stdin: far, Stdout: far, Stderr: p.said, WaitDelay: closeGrace,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	if err := startOnThread(p.cmd); err != nil {
		p.pipe.Close()
		return nil, &Error{Hop: hop, Err: fmt.Errorf("%w: %w", ErrStart, err)}
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) Read(b []byte) (int, error)  { return p.pipe.Read(b) }
func (p *process) Write(b []byte) (int, error) { return p.pipe.Write(b) }

// Close implements bootstrap.Carrier.
func (p *process) Close() error {
	p.closeOnce.Do(func() {
		p.pipe.Close()
		select {
		case <-p.exited:
			return
		case <-time.After(closeGrace):
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	})
	<-p.exited
	return nil
}

// Cause implements bootstrap.Carrier.
func (p *process) Cause(ctx context.Context) error {
	select {
	case <-p.exited:
	case <-ctx.Done():
		return nil
	}
	var exit *exec.ExitError
	if p.err == nil || errors.As(p.err, &exit) {
		return &Error{Hop: p.hop, Err: fmt.Errorf("%w: %v", ErrEOF, p.cmd.ProcessState), Output: p.said.String()}
	}
	return &Error{Hop: p.hop, Err: fmt.Errorf("%w: %w", ErrEOF, p.err), Output: p.said.String()}
}
