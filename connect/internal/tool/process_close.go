//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd || solaris

package tool

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/connect"
)

// Close ends a tool in steps. It closes the pipe, which ends the far side and then the tool.
// After orderlyTime, and closeGrace more where the tool is the far side's guard, it hangs up the
// terminal, and sends SIGHUP and SIGTERM to the process group. After closeGrace more it kills the
// group. After killTime more it gives up on a process that can't be killed: one that is stuck in
// the kernel, or another user's that ignores the hang-up.
const (
	orderlyTime = 500 * time.Millisecond
	closeGrace  = 2 * time.Second
	killTime    = 2 * time.Second
	// undoTime bounds the removal of a container that has survived its tool, after all that.
	undoTime = 10 * time.Second
)

// fail ends the tool, because the dialogue has failed. The reader of the carrier sees the end
// of the pipe and asks for the cause.
func (p *process) fail(err error) {
	p.mu.Lock()
	if p.reason == nil {
		p.reason = err
	}
	p.mu.Unlock()
	p.sever()
	p.hangUp()
}

// sever closes the pipe.
func (p *process) sever() {
	p.severOnce.Do(func() {
		if p.out != nil {
			_ = p.out.Close()
		}
		if p.in != nil {
			_ = p.in.Close()
		}
	})
}

// hangUp asks the tool to end, by the terminal and by signals. An ordinary user may not send
// signals to sudo, which runs as root, but the hang-up of its terminal reaches it.
func (p *process) hangUp() {
	p.hangUpOnce.Do(func() {
		if p.term != nil {
			p.term.close()
		}
		p.signal(syscall.SIGHUP, syscall.SIGCONT, syscall.SIGTERM)
	})
}

// signal sends signals to all processes in the tool's group.
func (p *process) signal(signals ...syscall.Signal) {
	if p.cmd == nil || p.cmd.Process == nil || IsClosed(p.exited) && !p.orphans {
		return
	}
	for _, s := range signals {
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// Close implements bootstrap.Carrier.
func (p *process) Close() error {
	p.closeOnce.Do(func() { p.closeErr = p.close() })
	return p.closeErr
}

func (p *process) close() error {
	close(p.closing)
	p.stop()
	p.sever()
	if p.released.Load() && p.tool.IsFarSide {
		return nil
	}
	if !IsClosed(p.ready) || p.tool.Terminal == connect.TerminalOnly {
		p.hangUp() // there is no far side yet, or it learns of the end in no other way
	}
	orderly := p.endsWithin(orderlyTime)
	ended := orderly
	if p.tool.IsFarSide && IsClosed(p.ready) && !ended {
		// The end of the link has told its guard, which alone can tell jobs from what else it
		// has to kill. A SIGTERM would kill a guard that is just starting again.
		p.signal(syscall.SIGCONT)
		ended = p.endsWithin(closeGrace)
	}
	p.hangUp()
	if !ended && !p.endsWithin(closeGrace) {
		p.signal(syscall.SIGKILL)
		if !p.endsWithin(killTime) {
			return &connect.Error{Hop: p.tool.Hop, Phase: "closing", Err: fmt.Errorf("%s, process %d, does not end and can't be killed",
				p.tool.Program, p.cmd.Process.Pid)}
		}
	}
	if p.orphans {
		p.signal(syscall.SIGKILL)
	}
	p.tasks.Wait()
	if p.tool.Undo != nil && !(orderly && p.cmd.ProcessState.Success()) {
		return p.undo()
	}
	return nil
}

// undo removes the container that the tool has made. There may be none: the tool may have
// ended before.
func (p *process) undo() error {
	ctx, cancel := context.WithTimeout(context.Background(), undoTime)
	defer cancel()
	argv := append([]string{p.cmd.Path}, p.tool.Undo...)
	_, err := Run(ctx, p.tool.Hop, "removing what is left", argv, p.tool.Explain)
	if errors.Is(err, connect.ErrNoContainer) {
		return nil
	}
	return err
}

func (p *process) endsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// A detached context goes on when its carrier is closed. That works if the tool is the far
// side itself, or only a client of a server on another host. It does not work with tools
// such as sudo and docker: they end the far side when they are ended.

// Releasable reports whether the far side can outlive the carrier.
func (p *process) Releasable() bool { return p.tool.IsFarSide || p.tool.IsClient }

// Release makes Close leave the far side alone if it is a child process of ours. Goroutines
// then wait for its end after Close has returned.
func (p *process) Release() { p.released.Store(true) }
