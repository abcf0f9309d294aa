package ssh

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// proxyGrace is how long a proxy command may take to end once its pipe has
// been closed, before it is killed.
const proxyGrace = 500 * time.Millisecond

// proxyConn is a ProxyCommand: a process whose standard input and output are
// one socket, so that the command may be anything that expects either.
type proxyConn struct {
	net.Conn
	command string
	process *exec.Cmd
	words   *tool.LastWords

	exited chan struct{} // closed by the goroutine that waits for the process
	status error         // set before exited is closed

	once sync.Once
	err  error
}

// startProxy runs a command line, whose tokens have been expanded, by the shell
// in a session of its own.
func startProxy(e *connect.OpenRequest, command string) (net.Conn, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, failure.Classify(connect.ErrStart, err)
	}
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close() // FileConn has a copy
	if err != nil {
		return nil, failure.Classify(connect.ErrStart, err)
	}
	p := &proxyConn{Conn: conn, command: command, exited: make(chan struct{}),
		words: &tool.LastWords{Log: e.Log, On: tool.OnProxy}}
	p.process = exec.Command("/bin/sh", "-c", "exec "+command)
	p.process.Stdin, p.process.Stdout, p.process.Stderr = theirs, theirs, p.words
	p.process.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	// What the command left behind may hold its standard error open.
	p.process.WaitDelay = proxyGrace
	if err := tool.StartOnThread(p.process); err != nil {
		conn.Close()
		return nil, failure.Classify(connect.ErrStart, fmt.Errorf("proxy command: %w", err))
	}
	go func() {
		p.status = p.process.Wait()
		close(p.exited)
	}()
	return p, nil
}

// failure is how the command ended, if it ended badly within a moment.
func (p *proxyConn) failure() error {
	ctx, cancel := context.WithTimeout(context.Background(), proxyGrace)
	defer cancel()
	select {
	case <-p.exited:
	case <-ctx.Done():
		return nil
	}
	if p.status == nil || p.process.ProcessState.ExitCode() < 0 {
		return nil // killed, by Close
	}
	said := p.words.String()
	return failure.Classify(cmp.Or(failure.Network(said), connect.ErrStart), fmt.Errorf("proxy command %q: %w: %s", p.command, p.status, said))
}

// Close ends the command and its process group, and waits for the command.
func (p *proxyConn) Close() error {
	p.once.Do(func() {
		p.err = p.Conn.Close()
		group := -p.process.Process.Pid
		// As OpenSSH does. The group outlives its leader where the command
		// started others, so it is signalled in any case.
		syscall.Kill(group, syscall.SIGHUP)
		timer := time.NewTimer(proxyGrace)
		select {
		case <-p.exited:
		case <-timer.C:
		}
		timer.Stop()
		syscall.Kill(group, syscall.SIGKILL)
		<-p.exited
	})
	return p.err
}

func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "proxy"), os.NewFile(uintptr(fds[1]), "proxy command"), nil
}
