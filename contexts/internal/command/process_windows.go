package command

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Commands run without a terminal, and signals other than SIGKILL do not exist.
// Groups are not known: processes that a command leaves running go on.

var signals = map[string]syscall.Signal{
	"SIGHUP": syscall.SIGHUP, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT, "SIGILL": syscall.SIGILL,
	"SIGTRAP": syscall.SIGTRAP, "SIGABRT": syscall.SIGABRT, "SIGBUS": syscall.SIGBUS, "SIGFPE": syscall.SIGFPE,
	"SIGKILL": syscall.SIGKILL, "SIGSEGV": syscall.SIGSEGV, "SIGPIPE": syscall.SIGPIPE, "SIGALRM": syscall.SIGALRM,
	"SIGTERM": syscall.SIGTERM,
}

func signalName(s syscall.Signal) string {
	for name, n := range signals {
		if n == s {
			return name
		}
	}
	return ""
}

// SignalNumber returns 0 for a name that this system does not have.
func SignalNumber(name string) syscall.Signal { return signals[name] }

func ownSession(*exec.Cmd, bool, bool) {}

func (p *process) signalGroup(s syscall.Signal) error { return p.cmd.Process.Signal(s) }
func (p *process) groupLives() bool                   { return !isClosedChan(p.exited) }
func (p *process) hangUp()                            { p.killGroup() }
func (p *process) killGroup()                         { _ = p.cmd.Process.Kill() }

func endOf(s *os.ProcessState) *State {
	return &State{PID: s.Pid(), Code: s.ExitCode(), User: s.UserTime(), System: s.SystemTime()}
}

func findProgram(name string, _ []string) (string, error) { return exec.LookPath(name) }

func (p *process) prepareTerminal() ([]*os.File, error) {
	return nil, fmt.Errorf("a command with a terminal: %w", errors.ErrUnsupported)
}

func resizeTerminal(*os.File, uint16, uint16) error { return errors.ErrUnsupported }
func endOfInput(*os.File)                           {}
