//go:build unix

package command

import (
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// prepareTerminal gives the process a terminal for all three of its standard
// descriptors.
func (p *process) prepareTerminal() ([]*os.File, error) {
	outer, inner, err := pty.Open()
	if err != nil {
		return nil, err
	}
	defer outer.Close()
	// Close and deadlines unblock Read of a file that was non-blocking when it
	// was made; this one was not.
	fd := -1
	err = descriptor.Control(outer, func(old int) (err error) {
		if fd, err = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			err = unix.SetNonblock(fd, true)
		}
		return err
	})
	if fd >= 0 {
		p.tty, p.inner = os.NewFile(uintptr(fd), outer.Name()), inner
	} else {
		inner.Close()
	}
	if err == nil {
		err = resizeTerminal(outer, p.q.Pty.Rows, p.q.Pty.Cols)
	}
	if err != nil {
		return nil, err
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = inner, inner, inner
	if p.stdin != nil || len(p.q.Input) > 0 {
		p.feeder = p.tty
	}
	return nil, p.addOutput(p.tty, p.q.Stdout)
}

func resizeTerminal(tty *os.File, rows, cols uint16) error {
	return pty.Setsize(tty, &pty.Winsize{Rows: rows, Cols: cols})
}

// endOfInput types Ctrl-D, which ends the input; twice, because a line may have begun. A
// program that reads key by key gets none: for it nothing more is typed.
func endOfInput(tty *os.File) {
	const eot = 4 // Ctrl-D
	if canonical(tty) {
		_, _ = tty.Write([]byte{eot, eot})
	}
}
