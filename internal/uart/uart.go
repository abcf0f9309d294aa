//go:build linux

// Package uart stands for the wire of a serial line in tests: it joins a terminal, which
// has somebody at its other side, with a socket, as a virtual machine does, or
// with a second terminal, whose other side then is the serial port of a program. It may
// be as slow as a wire. Bytes that come while nobody is connected are lost, and being
// connected or not shows at neither end.
package uart

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A Wire is in use until Close.
type Wire struct {
	// Immutable.
	far   *os.File // outer side of the terminal
	baud  int      // 0: as fast as it goes
	ln    net.Listener
	port  *os.File // outer side of a near terminal; nil with a socket
	stop  chan struct{}
	tasks sync.WaitGroup

	mu     sync.Mutex
	near   io.ReadWriteCloser // nil while there is none
	cut    bool
	said   bytes.Buffer // by the far end
	passed int          // bytes towards the far end
}

// Listen makes a wire whose near end is a unix socket at a path.
func Listen(far *os.File, path string, baud int) (*Wire, error) {
	far, err := pollable(far)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		_ = far.Close()
		return nil, err
	}
	w := &Wire{far: far, baud: baud, ln: ln, stop: make(chan struct{})}
	w.tasks.Go(w.accept)
	w.tasks.Go(w.deliver)
	return w, nil
}

// Port makes a wire whose near end is a serial port, and returns its path.
func Port(far *os.File, baud int) (*Wire, string, error) {
	port, inner, err := pty.Open()
	if err != nil {
		return nil, "", err
	}
	defer inner.Close()
	defer port.Close()
	// A port that nobody has open echoes nothing.
	if _, err := term.MakeRaw(int(inner.Fd())); err != nil {
		return nil, "", err
	}
	if port, err = pollable(port); err != nil {
		return nil, "", err
	}
	if far, err = pollable(far); err != nil {
		_ = port.Close()
		return nil, "", err
	}
	w := &Wire{far: far, baud: baud, port: port, near: port, stop: make(chan struct{})}
	w.tasks.Go(func() { w.take(port) })
	w.tasks.Go(w.deliver)
	return w, inner.Name(), nil
}

// Close takes the wire away, but not the terminal at its far end.
func (w *Wire) Close() {
	close(w.stop)
	if w.ln != nil {
		_ = w.ln.Close()
	}
	if w.port != nil {
		_ = w.port.Close()
	}
	w.HangUp()
	_ = w.far.Close()
	w.tasks.Wait()
}

// pollable is a copy of a file on which Close unblocks Read and Write.
func pollable(file *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), file.Name()), nil
}

// HangUp disconnects the program that is connected to the socket.
func (w *Wire) HangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.near != nil && w.port == nil {
		_ = w.near.Close()
		w.near = nil
	}
}

// Cut makes the wire lose everything from now on; neither end is told.
func (w *Wire) Cut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

// Said is all that the far end has sent.
func (w *Wire) Said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.String()
}

// Passed is how many bytes have gone to the far end.
func (w *Wire) Passed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passed
}

// Disturb shows a text at the near end, in the midst of the output of the far end.
func (w *Wire) Disturb(text string) { w.show([]byte(text)) }

func (w *Wire) show(b []byte) {
	w.mu.Lock()
	near := w.near
	if w.cut {
		near = nil
	}
	w.mu.Unlock()
	if near != nil {
		_, _ = near.Write(b)
	}
}

// deliver carries from the far end. While nobody has the terminal open, reading is an error.
func (w *Wire) deliver() {
	b := make([]byte, w.chunk())
	for !w.stopped() {
		n, err := w.far.Read(b)
		w.mu.Lock()
		w.said.Write(b[:n])
		w.mu.Unlock()
		w.show(b[:n])
		w.pass(n)
		if err != nil {
			time.Sleep(time.Millisecond)
		}
	}
}

func (w *Wire) accept() {
	for {
		c, err := w.ln.Accept()
		if err != nil {
			return
		}
		w.HangUp()
		w.mu.Lock()
		w.near = c
		w.mu.Unlock()
		w.tasks.Go(func() {
			w.take(c)
			_ = c.Close()
		})
	}
}

// take carries to the far end.
func (w *Wire) take(near io.Reader) {
	b := make([]byte, w.chunk())
	for !w.stopped() {
		n, err := near.Read(b)
		w.mu.Lock()
		cut := w.cut
		if !cut {
			w.passed += n
		}
		w.mu.Unlock()
		if n > 0 && !cut {
			_, _ = w.far.Write(b[:n])
		}
		w.pass(n)
		switch {
		case err == nil:
		case w.port == nil || errors.Is(err, os.ErrClosed):
			return
		default:
			time.Sleep(time.Millisecond) // nobody has the port open
		}
	}
}

// chunk is how much is carried at once: 10 ms of it.
func (w *Wire) chunk() int {
	if w.baud == 0 {
		return 4096
	}
	return max(w.baud/10/100, 1)
}

// pass lets the time pass that n bytes take, of ten bits each.
func (w *Wire) pass(n int) {
	if w.baud > 0 {
		time.Sleep(time.Duration(n) * 10 * time.Second / time.Duration(w.baud))
	}
}

func (w *Wire) stopped() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}
