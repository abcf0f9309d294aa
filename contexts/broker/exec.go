//go:build linux || darwin || freebsd

package broker

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// killDelay is the time between SIGTERM and SIGKILL for a command whose request ends.
const killDelay = 500 * time.Millisecond

// exec runs a command.
func (q *request) exec() (wire.Frame, error) {
	argv := q.f.Argv
	if len(argv) == 0 {
		for arg := range bytes.SplitSeq(bytes.TrimSuffix(q.body, []byte{0}), []byte{0}) {
			argv = append(argv, string(arg))
		}
		if len(q.body) == 0 {
			argv = nil
		}
	}
	if len(argv) == 0 && !q.f.Shell {
		return wire.Frame{}, usage("exec has neither argv nor shell")
	}
	l, err := q.open()
	if err != nil {
		return wire.Frame{}, err
	}
	defer l.Release()
	var cmd *contexts.Command
	if q.f.Shell {
		cmd = l.Node().LoginShell(q.ctx, argv...)
	} else {
		cmd = l.Node().Command(q.ctx, argv[0], argv[1:]...)
	}
	begun := make(chan struct{})
	outputs := q.equip(cmd, begun)
	if err := cmd.Start(); err != nil {
		return wire.Frame{}, err
	}
	if err := q.send(wire.Frame{Header: &wire.BrokerFrame{Event: "started", PID: cmd.Pid}}); err != nil {
		q.cancel(errClientLeft)
	}
	close(begun)
	ended := make(chan struct{})
	obeyed := make(chan struct{})
	go func() {
		defer close(obeyed)
		q.obey(cmd, ended)
	}()
	err = cmd.Wait()
	close(ended)
	<-obeyed
	return q.outcome(cmd, outputs, err)
}

// equip gives a command what the request says, and returns its outputs. These wait for begun.
func (q *request) equip(cmd *contexts.Command, begun <-chan struct{}) []*stream {
	for name, value := range q.f.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.ClearEnv, cmd.LoginEnv, cmd.SourceEnv, cmd.Dir = q.f.ClearEnv, q.f.LoginEnv, q.f.SourceEnv, q.f.Dir
	cmd.KeepJobs, cmd.IdleTimeout, cmd.KillDelay = q.f.KeepJobs, seconds(q.f.IdleTimeout), killDelay
	if q.input != nil {
		cmd.Stdin = q.input
	}
	stdout := &stream{q, "stdout", begun}
	outputs := []*stream{stdout}
	cmd.Stdout = stdout
	switch {
	case q.f.Pty != nil:
		cmd.Pty = &contexts.Pty{Rows: q.f.Pty.Rows, Cols: q.f.Pty.Cols, Term: q.f.Pty.Term}
	case q.f.Merge:
		cmd.Stderr = stdout
	default:
		stderr := &stream{q, "stderr", begun}
		cmd.Stderr = stderr
		outputs = append(outputs, stderr)
	}
	return outputs
}

// obey carries out signals and sizes until the command has ended.
func (q *request) obey(cmd *contexts.Command, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case f := <-q.orders:
			if f.Resize != nil {
				_ = cmd.Resize(f.Resize.Rows, f.Resize.Cols)
				continue
			}
			sig, err := contexts.ParseSignal(f.Signal)
			switch {
			case err != nil:
				q.s.b.log.Debug("a signal is not known", "signal", f.Signal)
			case f.Group:
				_ = cmd.SignalGroup(sig)
			default:
				_ = cmd.Signal(sig)
			}
		}
	}
}

// outcome ends the outputs, and returns the last frame of a command that has run.
func (q *request) outcome(cmd *contexts.Command, outputs []*stream, err error) (wire.Frame, error) {
	for _, s := range outputs {
		q.ends = append(q.ends, s.end())
	}
	exit, isExit := errors.AsType[*contexts.ExitError](err)
	if err != nil && isExit && errors.Unwrap(err) == error(exit) {
		err = nil // that it failed is a result
	}
	f := okFrame()
	if s := cmd.ProcessState; s != nil {
		code, signal := s.Code, signalName(s.Signal)
		f.Code, f.Signal, f.Status = &code, &signal, s.ShellStatus()
	}
	if err != nil && q.ctx.Err() != nil {
		err = q.why()
	}
	return wire.Frame{Header: f}, err
}

// signalName returns the name of a signal without SIG, "" for none.
func signalName(s syscall.Signal) string {
	if s == 0 {
		return ""
	}
	return strings.TrimPrefix(unix.SignalName(s), "SIG")
}
