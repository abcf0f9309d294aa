//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// hostNamespaces are the namespaces that every host has of its own. There is no
// user namespace: sudo, su and sshd need a real root.
const hostNamespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET |
	syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

var errHostEnded = errors.New("lab: the host has ended")

// A gate is an operating system thread of the test process that starts a host's
// pid 1 and then joins the host's namespaces. Functions that do runs see the
// host's files, and processes that they start are in the host.
//
// The thread lives until leave is called, or the test process ends. At its end the kernel
// kills pid 1.
type gate struct {
	// Unbuffered; sent to by do, received by run. A send blocks while another
	// function runs, or until quit is closed.
	jobs chan func()
	// Closed once, by leave.
	quit chan struct{}
	// Closed by run when the thread is about to die.
	done chan struct{}
}

func newGate() *gate {
	g := &gate{jobs: make(chan func()), quit: make(chan struct{}), done: make(chan struct{})}
	onOwnThread(g.run)
	return g
}

func (g *gate) run() {
	defer close(g.done)
	for {
		select {
		case job := <-g.jobs:
			job()
		case <-g.quit:
			return
		}
	}
}

// do runs f on the gate's thread and waits for it.
func (g *gate) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case g.jobs <- func() { result <- f() }:
		return <-result
	case <-g.quit:
		return errHostEnded
	}
}

// leave ends the thread. It must be called only once.
func (g *gate) leave() {
	close(g.quit)
	<-g.done
}

// start starts pid 1 from the gate's thread, so that its parent-death signal
// follows that thread.
func (g *gate) start(cmd *exec.Cmd) error {
	return g.do(cmd.Start)
}

// enter joins the namespaces of the process pid for good.
func (g *gate) enter(pid int) error {
	return g.do(func() error {
		// The process-wide root and working directory cannot follow one thread
		// into another mount namespace, so the thread first gets its own.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		// All namespaces are opened before the first is joined: the path goes through
		// the machine's /proc.
		var spaces []*os.File
		defer func() {
			for _, f := range spaces {
				f.Close()
			}
		}()
		for _, name := range []string{"pid", "ipc", "uts", "net", "mnt"} {
			f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, name))
			if err != nil {
				return err
			}
			spaces = append(spaces, f)
		}
		for _, f := range spaces {
			if err := unix.Setns(int(f.Fd()), 0); err != nil {
				return fmt.Errorf("join %s: %w", f.Name(), err)
			}
		}
		return nil
	})
}

// onOwnThread runs f in a new goroutine on a thread that nothing else uses and
// that dies when f returns. That is never the main thread: the Go runtime cannot
// end it, and /proc/self shows its namespaces as those of the process.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		// This goroutine occupies the main thread until the next goroutine has
		// another thread.
		defer runtime.UnlockOSThread()
		other := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(other)
			f()
		}()
		<-other
	}()
}
