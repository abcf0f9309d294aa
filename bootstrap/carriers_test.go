//go:build linux

package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/creack/pty"
)

// ptyCarrier runs a command with everything on one terminal.
func ptyCarrier(t *testing.T, cmd *exec.Cmd) *procCarrier {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p := &procCarrier{cmd: cmd, in: master, out: master, done: make(chan struct{})}
	p.run(t)
	slave.Close()
	return p
}

// socketCarrier runs a command with one socket as input and output.
func socketCarrier(t *testing.T, cmd *exec.Cmd) *procCarrier {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far")
	syscall.SetNonblock(fds[1], false)
	cmd.Stdin, cmd.Stdout = far, far
	p := &procCarrier{cmd: cmd, in: near, out: near, done: make(chan struct{})}
	p.run(t)
	far.Close()
	return p
}

// Everything is typed at an interactive shell on a terminal, as on a serial
// console, with echo and line editing on.
func TestChildOnATerminal(t *testing.T) {
	for _, shell := range loginShells {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			path, err := exec.LookPath(shell[0])
			if err != nil {
				t.Skip(err)
			}
			o := opts()
			o.NoNudge = true
			l := NewLaunch(o)
			cmd := exec.Command(path, append(append([]string{}, shell[1:]...), "-i")...)
			cmd.Env = append(os.Environ(), "TERM=dumb", "HOME="+t.TempDir())
			c := ptyCarrier(t, cmd)
			fmt.Fprint(c, l.Line()+"\r")
			s := born(t, l, c, "")
			answers(t, s)
			// A terminal in its usual mode would change these.
			if got := ask(t, s, "\x03\x04\x11\x13\x1a\r\x7f"); got != "\x03\x04\x11\x13\x1a\x7f test" && got != "\x03\x04\x11\x13\x1a\r\x7f test" {
				t.Errorf("got %q", got)
			}
			pids := tree(c.cmd.Process.Pid)
			c.Close()
			gone(t, pids)
		})
	}
}

func TestChildOnASocket(t *testing.T) {
	l := NewLaunch(opts())
	c := socketCarrier(t, l.command())
	answers(t, born(t, l, c, ""))
	pids := tree(c.cmd.Process.Pid)
	c.Close()
	gone(t, pids)
}

// fragile passes single bytes and breaks at the N-th read or write.
type fragile struct {
	*procCarrier
	slow          bool
	reads, writes atomic.Int64 // left until the break; never, if it began negative
}

var errBroken = errors.New("broken on purpose")

func (f *fragile) Read(b []byte) (int, error) {
	if f.reads.Add(-1) == 0 {
		f.procCarrier.Close()
		return 0, errBroken
	}
	if f.slow {
		b = b[:min(len(b), 1)]
	}
	return f.procCarrier.Read(b)
}

func (f *fragile) Write(b []byte) (int, error) {
	if f.writes.Add(-1) == 0 {
		f.procCarrier.Close()
		return 0, errBroken
	}
	return f.procCarrier.Write(b)
}

func (f *fragile) Cause(context.Context) error {
	return nil
}

func TestOneByteAtATime(t *testing.T) {
	l := NewLaunch(opts())
	f := &fragile{procCarrier: start(t, exec.Command("/bin/sh", "-c", "printf 'noise without end'; "+l.Line())), slow: true}
	f.reads.Store(-1)
	f.writes.Store(-1)
	s := born(t, l, f, "")
	answers(t, s)
	if s.Said != "noise without end" {
		t.Errorf("said %q", s.Said)
	}
}

func TestBreaksAtEveryRead(t *testing.T) {
	step := int64(1) // bytes
	if testing.Short() {
		step = 3
	}
	for n := int64(1); ; n += step {
		o := opts()
		o.StartMethods = []string{StartRAM}
		l := NewLaunch(o)
		c := start(t, l.command())
		pid := c.cmd.Process.Pid
		f := &fragile{procCarrier: c, slow: true}
		f.reads.Store(n)
		f.writes.Store(-1)
		s, err := l.Run(bound(t), f)
		if err == nil {
			s.Link.Close()
			if n < 100 {
				t.Errorf("a child after %d bytes", n)
			}
			return
		}
		if e := (*Error)(nil); !errors.As(err, &e) || !errors.Is(err, errBroken) {
			t.Fatalf("read %d: %v", n, err)
		}
		gone(t, tree(pid))
	}
}

func TestBreaksAtEveryWrite(t *testing.T) {
	for n := int64(1); ; n++ {
		l := NewLaunch(opts())
		c := start(t, l.command())
		pid := c.cmd.Process.Pid
		f := &fragile{procCarrier: c}
		f.reads.Store(-1)
		f.writes.Store(n)
		s, err := l.Run(bound(t), f)
		if err == nil {
			s.Link.Close()
			if n < 2 {
				t.Errorf("a child after %d writes", n)
			}
			return
		}
		gone(t, tree(pid))
	}
}

func TestWelcomeMayComeInPieces(t *testing.T) {
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"one byte": iotest.OneByteReader, "half": iotest.HalfReader, "data with error": iotest.DataErrReader,
	} {
		frame, err := helloFrame(Welcome{Version: Version, ID: 9, Path: "x"}, 9)
		if err != nil {
			t.Fatal(err)
		}
		in := append([]byte("\n\r\n0123456789abcdef for a shell\n\n0123456789abcdef another\r\n"), frame...)
		in = append(in, "frames"...)
		var w Welcome
		r := wrap(bytes.NewReader(in))
		frames := &afterNudges{r: r, marker: "0123456789abcdef"}
		rest, err := readHello(frames, &w)
		if err != nil || w.ID != 9 {
			t.Fatalf("%s: %+v %v", name, w, err)
		}
		more, _ := io.ReadAll(r)
		if got := string(rest) + string(frames.buf) + string(more); got != "frames" {
			t.Errorf("%s: left %q", name, got)
		}
	}
}
