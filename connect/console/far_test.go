//go:build linux

package console

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/mitosis-go/mitosis/connect/internal/tool"
	"github.com/mitosis-go/mitosis/internal/uart"
)

// farConsole is the far end of a line: a terminal at which one session after the other is
// started, as init does it with gettys.
type farConsole struct {
	*uart.Wire
	tty     string
	console Login // the hop to it

	stop     chan struct{}
	tasks    sync.WaitGroup
	sessions atomic.Int32 // begun

	mu      sync.Mutex
	session *exec.Cmd // guarded by mu
}

// newFarConsole starts sessions until the test ends. The near end is a serial port, or a
// socket.
func newFarConsole(t *testing.T, port bool, argv ...string) *farConsole {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	slave.Close()
	f := &farConsole{tty: slave.Name(), stop: make(chan struct{})}
	if f.console.Device = filepath.Join(t.TempDir(), "line"); port {
		f.Wire, f.console.Device, err = uart.Port(master, 0)
	} else {
		f.Wire, err = uart.Listen(master, f.console.Device, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "TERM=dumb", "PS1=", "HOME="+t.TempDir())
	f.tasks.Go(func() { f.respawn(t, env, argv) })
	t.Cleanup(func() {
		close(f.stop)
		f.mu.Lock()
		if f.session != nil {
			_ = syscall.Kill(-f.session.Process.Pid, syscall.SIGKILL)
		}
		f.mu.Unlock()
		f.Close()
		master.Close()
		f.tasks.Wait()
		if t.Failed() {
			said := f.Said()
			t.Logf("on the line: %q", said[max(0, len(said)-800):])
		}
	})
	return f
}

func (f *farConsole) respawn(t *testing.T, env, argv []string) {
	for !tool.IsClosed(f.stop) {
		tty, err := os.OpenFile(f.tty, os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, tty, tty, tty
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
		f.mu.Lock()
		if err = tool.StartOnThread(cmd); err == nil {
			f.session = cmd
		}
		f.mu.Unlock()
		tty.Close()
		if errors.Is(err, syscall.EIO) {
			continue // the line was hung up meanwhile; init would start it again, too
		}
		if err != nil {
			t.Error(err)
			return
		}
		f.sessions.Add(1)
		_ = cmd.Wait()
	}
}
