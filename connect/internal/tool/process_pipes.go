//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd || solaris

package tool

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/bootstrap/pipe"
	"github.com/mitosis-go/mitosis/connect"
)

// connect makes the pipe and the terminal, and returns the tool's ends.
func (p *process) connect() (theirs []*os.File, err error) {
	if p.tool.Terminal != connect.TerminalNone {
		p.term, err = openTerminal()
		if err != nil && p.tool.Terminal == connect.TerminalOnly {
			return nil, fmt.Errorf("opening a terminal: %w", err)
		}
		// The tool may have nothing to ask. If it has, it says that it needs one.
		p.noTerminal = err
	}
	if p.term != nil {
		p.cmd.SysProcAttr.Setctty = true
	}
	if p.tool.Terminal == connect.TerminalOnly {
		p.cmd.Stdin, p.cmd.Stdout = p.term.inner, p.term.inner
		return nil, nil
	}
	if p.tool.Socket != NoSocket {
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
	p.pipe = pipe.New(in, out)
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

// connectSocket is connect for a far side that inherits no descriptor above 2. One socket, the
// tool's standard input or output, carries the payload both ways. The tool has the terminal at
// its other descriptors, but for standard error beside a socket at standard input: such a tool
// asks on its controlling terminal.
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
	// Two files of the same socket, so that closing each unblocks its own goroutine.
	if p.out, err = nonblocking(ours); err == nil {
		p.in, err = nonblocking(ours)
	}
	if err != nil {
		return []*os.File{socket}, err
	}
	p.pipe = pipe.New(p.in, p.out)
	if p.tool.Socket == SocketAtIn {
		p.cmd.Stdin, p.cmd.Stdout = socket, p.stderr
		if p.term != nil {
			p.cmd.Stdout, p.cmd.SysProcAttr.Ctty = p.term.inner, 1 // a number in the tool
		}
		return []*os.File{socket}, nil
	}
	p.cmd.Stdout = socket
	if p.term != nil {
		p.cmd.Stdin, p.cmd.Stderr = p.term.inner, p.term.inner
	}
	return []*os.File{socket}, nil
}
