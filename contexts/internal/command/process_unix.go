//go:build unix

package command

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// signalName returns "" for a signal that has no name.
func signalName(s syscall.Signal) string { return unix.SignalName(s) }

// SignalNumber returns 0 for a name that this system does not have.
func SignalNumber(name string) syscall.Signal { return unix.SignalNum(name) }

// ownSession makes the process the leader of a session and of a process group. So it does
// not share our terminal, if we have one: programs that ask for a password at the terminal
// find none, in the master as everywhere else.
func ownSession(cmd *exec.Cmd, terminal, tied bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: terminal} // Ctty 0 is its standard input
	if tied {
		tieToParent(cmd.SysProcAttr)
	}
}

// The group of a process that has been reaped keeps its number from being given
// to another one as long as it has members, which is when signals are sent to
// it.

func (p *process) signalGroup(s syscall.Signal) error {
	return syscall.Kill(-p.cmd.Process.Pid, s)
}

// groupLives reports whether the group has members that are to end, zombies included.
func (p *process) groupLives() bool {
	if p.sparesNohup {
		return len(bootstrap.GroupThatHeedsHangup(p.cmd.Process.Pid)) > 0
	}
	return !errors.Is(p.signalGroup(0), syscall.ESRCH)
}

// signalEnding sends a signal to those processes of the group that are to end. A child that
// is forked meanwhile is found the next time.
func (p *process) signalEnding(s syscall.Signal) {
	if !p.sparesNohup {
		_ = p.signalGroup(s)
		return
	}
	for range 5 {
		pids := bootstrap.GroupThatHeedsHangup(p.cmd.Process.Pid)
		for _, pid := range pids {
			_ = syscall.Kill(pid, s)
		}
		if len(pids) == 0 || s != syscall.SIGKILL {
			return
		}
	}
}

// hangUp asks the process and its group to end; on a terminal, also the group
// in the foreground, which in a shell is another one. A shell there heeds no
// SIGTERM but a hang-up, which it passes on to its other groups.
func (p *process) hangUp() {
	signals := []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT}
	if p.tty != nil {
		signals = append(signals, syscall.SIGHUP)
	}
	for _, s := range signals {
		p.signalEnding(s)
		p.signalForeground(s)
	}
}

func (p *process) killGroup() {
	p.signalForeground(syscall.SIGKILL)
	p.signalEnding(syscall.SIGKILL)
}

func (p *process) signalForeground(s syscall.Signal) {
	if p.tty == nil {
		return
	}
	_ = descriptor.Control(p.tty, func(fd int) error {
		group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		if err == nil && group > 1 && group != p.cmd.Process.Pid {
			err = syscall.Kill(-group, s)
		}
		return err
	})
}

// endOf tells how a process ended that was reaped.
func endOf(s *os.ProcessState) *State {
	end := &State{PID: s.Pid(), Code: s.ExitCode(), User: s.UserTime(), System: s.SystemTime()}
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		end.Signal, end.Core = NewSignal(w.Signal()), w.CoreDump()
	}
	return end
}

// findProgram looks for a program in the PATH of the environment that it will
// have.
func findProgram(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	var path string
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, name)
		if s, err := os.Stat(file); err == nil && s.Mode().IsRegular() && syscall.Access(file, 1) == nil {
			return file, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}
