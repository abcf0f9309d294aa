//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd || solaris

package tool

import (
	"os"
	"sync"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// terminal is a pseudo-terminal. Its inner side is the controlling terminal of a tool, which
// prompts there and reads passwords. When the outer side is closed, also by our own death, the
// kernel hangs up on the tool. That reaches tools that we may not send signals to.
type terminal struct {
	outer *os.File

	mu    sync.Mutex
	inner *os.File // guarded by mu; nil once let go
}

// openTerminal makes a terminal that passes every byte on unchanged, so that any password can
// be typed. Only a line feed has a meaning.
func openTerminal() (*terminal, error) {
	outer, inner, err := pty.Open()
	if err != nil {
		return nil, err
	}
	defer outer.Close()
	t := &terminal{inner: inner}
	if t.outer, err = nonblocking(outer); err == nil {
		err = t.prepare()
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// nonblocking returns a copy of a file on which Close unblocks Read and Write.
func nonblocking(file *os.File) (*os.File, error) {
	fd := -1
	err := descriptor.Control(file, func(old int) (err error) {
		if fd, err = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.SetNonblock(fd, true)
	})
	if fd < 0 {
		return nil, err
	}
	copied := os.NewFile(uintptr(fd), file.Name()) // looks at the mode
	if err != nil {
		_ = copied.Close()
		return nil, err
	}
	return copied, nil
}

// prepare switches off everything that would change input or output. Two things stay on,
// because they tell when a tool prompts: echo, which the tool switches off, and input by
// lines.
func (t *terminal) prepare() error {
	// So wide that no tool folds a prompt.
	if err := pty.Setsize(t.outer, &pty.Winsize{Rows: 24, Cols: 500}); err != nil {
		return err
	}
	return descriptor.Control(t.inner, func(fd int) error {
		m, err := unix.IoctlGetTermios(fd, getTermios)
		if err != nil {
			return err
		}
		m.Iflag &^= unix.IXON | unix.IXOFF | unix.ICRNL | unix.INLCR | unix.IGNCR | unix.ISTRIP | unix.BRKINT | unix.PARMRK
		m.Oflag &^= unix.OPOST
		m.Lflag &^= unix.ISIG | unix.IEXTEN
		m.Lflag |= unix.ICANON | unix.ECHO
		for _, c := range []int{unix.VINTR, unix.VQUIT, unix.VSUSP, unix.VERASE, unix.VKILL, unix.VEOF, unix.VEOL} {
			m.Cc[c] = disabledChar
		}
		return unix.IoctlSetTermios(fd, setTermios, m)
	})
}

// raw makes the terminal pass all bytes on and echo none: it carries the payload of a tool
// whose standard input and output it is.
func (t *terminal) raw() error {
	return descriptor.Control(t.outer, func(fd int) error {
		m, err := unix.IoctlGetTermios(fd, getTermios)
		if err != nil {
			return err
		}
		m.Iflag = 0
		m.Oflag &^= unix.OPOST
		m.Lflag &^= unix.ISIG | unix.IEXTEN | unix.ICANON | unix.ECHO | unix.ECHONL
		m.Cc[unix.VMIN], m.Cc[unix.VTIME] = 1, 0
		return unix.IoctlSetTermios(fd, setTermios, m)
	})
}

// hidden reports whether echo is off. It returns false if that is not known.
func (t *terminal) hidden() bool {
	modes, err := t.modes()
	return err == nil && modes&unix.ECHO == 0
}

// inLines reports whether input reaches the tool by lines.
func (t *terminal) inLines() bool {
	modes, err := t.modes()
	return err == nil && modes&unix.ICANON != 0
}

func (t *terminal) modes() (modes uint64, err error) {
	err = descriptor.Control(t.outer, func(fd int) error {
		m, err := unix.IoctlGetTermios(fd, getTermios)
		if err == nil {
			modes = uint64(m.Lflag)
		}
		return err
	})
	return modes, err
}

func (t *terminal) Read(b []byte) (int, error)  { return t.outer.Read(b) }
func (t *terminal) Write(b []byte) (int, error) { return t.outer.Write(b) }

// letGo closes our copy of the inner side. From then on Read ends when no process has the
// terminal open. It must not be called before the tool has ended: a tool may close what it
// inherited, and open /dev/tty later.
func (t *terminal) letGo() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inner != nil {
		_ = t.inner.Close()
		t.inner = nil
	}
}

// close hangs up and unblocks Read and Write.
func (t *terminal) close() {
	_ = t.outer.Close() // may be nil, which is an error and no more
	t.letGo()
}
