//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd || solaris

package tool

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/bootstrap/pipe"
)

// connectSocket is connect where nothing above 2 reaches the far side: one socket, the
// tool's standard output, carries the payload both ways. The terminal is its standard
// input and error, where it asks.
func (p *process) connectSocket() (theirs []*os.File, err error) {
	syscall.ForkLock.RLock()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(pair[0])
		unix.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	socket := os.NewFile(uintptr(pair[1]), "payload")
	ours := os.NewFile(uintptr(pair[0]), "payload")
	defer ours.Close()
	// Two files of the same socket: each of them unblocks its own goroutine.
	if p.out, err = nonblocking(ours); err == nil {
		p.in, err = nonblocking(ours)
	}
	if err != nil {
		return []*os.File{socket}, err
	}
	p.pipe = pipe.New(p.in, p.out)
	p.cmd.Stdout = socket
	if p.term != nil {
		p.cmd.Stdin, p.cmd.Stderr = p.term.inner, p.term.inner
	}
	return []*os.File{socket}, nil
}
