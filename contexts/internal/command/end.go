package command

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/core"
)

// await waits for the end of the process, and reports it.
func (p *process) await() error {
	e := Event{Kind: EventExited}
	select {
	case <-p.exited:
	case <-p.ctx.Done():
		if !p.terminate() {
			err := fmt.Errorf("process %d, which is to end (%w), cannot be killed", p.cmd.Process.Pid, context.Cause(p.ctx))
			p.control.Reset(err)
			return err
		}
		e.Err = core.EncodeError(context.Cause(p.ctx))
	}
	e.State = endOf(p.cmd.ProcessState)
	_ = p.events.Send(e)
	return nil
}

// killTime bounds how long we wait for a process that was sent SIGKILL. It takes that long
// only if the kernel does not let go of it. The rest of its group gets restTime: a caller
// that hears of the end likes to find the whole group ended.
const (
	killTime = 2 * time.Second
	restTime = 100 * time.Millisecond
)

// killedWaitDelay bounds how long we wait for the output of a process that was killed, if
// the caller has set no bound.
const killedWaitDelay = time.Second

// terminate ends the process and its group: SIGTERM, KillDelay, SIGKILL. It
// reports whether the process ended.
func (p *process) terminate() bool {
	// A process under nohup is a job if the command itself is not under nohup.
	p.sparesNohup = p.q.Flags&KeepJobs != 0 && bootstrap.HeedsHangup(p.cmd.Process.Pid)
	delay := p.q.KillDelay
	if p.callCtx.Err() != nil {
		delay = min(delay, p.host.KillGrace) // the context itself may be at its end
	}
	if delay > 0 {
		p.hangUp()
		if p.groupEnds(delay) {
			return true
		}
	}
	p.killGroup()
	timer := time.NewTimer(killTime)
	defer timer.Stop()
	select {
	case <-p.exited:
		p.groupEnds(restTime)
		return true
	case <-timer.C:
		return false
	}
}

// groupEnds waits for the end of the process and of its group, and reports whether they
// ended within limit. It polls, because the system does not report the end of a group.
func (p *process) groupEnds(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for pause := time.Millisecond; !isClosedChan(p.exited) || p.groupLives(); pause = min(2*pause, 20*time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-timer.C:
			return false
		}
	}
	return true
}

// finish ends the copying once the process has ended. Its input ends at once. Its outputs,
// which other processes may have open, end after WaitDelay.
func (p *process) finish() {
	if p.idle != nil {
		p.idle.Stop()
	}
	if p.stdin != nil {
		p.stdin.Close()
	}
	if p.feeder != nil && p.feeder != p.tty {
		_ = p.feeder.Close()
	}
	if p.inner != nil {
		_ = p.inner.Close()
	}
	delay := p.q.WaitDelay
	if p.ctx.Err() != nil && delay < 0 {
		delay = killedWaitDelay
	}
	var outputs sync.WaitGroup
	for _, o := range p.outputs {
		if delay >= 0 {
			_ = o.src.SetReadDeadline(time.Now().Add(delay))
		}
		outputs.Go(func() { <-o.done })
	}
	if p.ctx.Err() == nil {
		stop := context.AfterFunc(p.ctx, func() {
			for _, o := range p.outputs {
				_ = o.src.SetReadDeadline(time.Unix(1, 0))
			}
		})
		defer stop()
	}
	outputs.Wait()
	if p.tty != nil {
		_ = p.tty.Close()
	}
	p.control.Close() // ends takeOrders
}
