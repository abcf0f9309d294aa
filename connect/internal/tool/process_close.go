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

// How a tool that works is ended: its pipe is closed, which ends the far side
// and then the tool; after orderlyTime its terminal is hung up and its process
// group gets SIGHUP and SIGTERM; after closeGrace more it is killed; after
// killTime more we stop waiting, for a process that can't be killed: one stuck
// in the kernel, or another user's that heeds no hang-up.
const (
	orderlyTime = 500 * time.Millisecond
	closeGrace  = 2 * time.Second
	killTime    = 2 * time.Second
	// undoTime bounds, beyond all of that, what takes away a container that has
	// survived its tool.
	undoTime = 10 * time.Second
)

// fail ends the tool because of its dialogue. The reader of the carrier sees
// the end of the pipe and asks for the cause.
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

// hangUp asks the tool to end. sudo runs as root, so that an ordinary user's
// signals don't reach it; the hang-up of its terminal does.
func (p *process) hangUp() {
	p.hangUpOnce.Do(func() {
		if p.term != nil {
			p.term.close()
		}
		p.signal(syscall.SIGHUP, syscall.SIGCONT, syscall.SIGTERM)
	})
}

// signal reaches all processes that the tool has in its group.
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
		p.hangUp() // there is no far side yet, or no other way to tell it
	}
	orderly := p.endsWithin(orderlyTime)
	p.hangUp()
	if !orderly && !p.endsWithin(closeGrace) {
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

// undo takes away what the tool has made, if it still can be found. The tool
// may have ended before it had made anything.
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

// A carrier may be closed so that the far side, which has made up its mind to go
// on without it, is not ended. That takes a tool which is no more than a client of
// another machine's server, or the far side itself. Tools like sudo and docker are
// neither: they wait for what they have started, and end it when they are ended.

// Releasable tells whether the far side can outlive the carrier.
func (p *process) Releasable() bool { return p.tool.IsFarSide || p.tool.IsClient }

// Release has Close spare the far side, where that is a process of ours: it is
// waited for in the background.
func (p *process) Release() { p.released.Store(true) }
