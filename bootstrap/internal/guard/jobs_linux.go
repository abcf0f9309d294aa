package guard

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// keepFlag is a flag of the open file that worker and guard share as the lease. The worker sets
// it to tell its guard that there may be jobs. It has no effect on a timer, and it stays when
// the worker has been killed.
const keepFlag = unix.O_APPEND

// KeepJobs has this context and its guard spare jobs from now on.
func KeepJobs() error {
	if Marker == "" {
		return errors.ErrUnsupported
	}
	flags, err := unix.FcntlInt(WorkerLease, unix.F_GETFL, 0)
	if err == nil && flags&keepFlag == 0 {
		_, err = unix.FcntlInt(WorkerLease, unix.F_SETFL, flags|keepFlag)
	}
	return os.NewSyscallError("fcntl", err)
}

// keepsJobs reports whether the worker of a lease has called KeepJobs.
func keepsJobs(lease int) bool {
	flags, err := unix.FcntlInt(uintptr(lease), unix.F_GETFL, 0)
	return err == nil && flags&keepFlag != 0
}

// LeftRunning lists the processes that the guard has adopted, because their parents have
// ended, and will kill.
func LeftRunning() []Left {
	self := os.Getpid()
	root := top(self)
	if root == self || Marker == "" {
		return nil
	}
	keep := keepsJobs(WorkerLease)
	var left []Left
	for _, p := range readChildren("/proc", root) {
		if p.PID == self || p.Dead || isContext(p.PID) || keep && !isMarked(p.PID) {
			continue
		}
		name, _ := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/comm")
		left = append(left, Left{p.PID, string(bytes.TrimSpace(name))})
	}
	return left
}

// isMarked reports whether a process has the mark of some context. It returns false where the
// environment of the process can't be read.
func isMarked(pid int) bool {
	env, err := environ(pid)
	return err == nil && hasSomeMark(env)
}

func hasSomeMark(env []byte) bool {
	return bytes.HasPrefix(env, []byte(markVariable)) || bytes.Contains(env, []byte("\x00"+markVariable))
}

// hasNoMark reports whether a process has no mark. It returns false where the environment of
// the process can't be read.
func hasNoMark(pid int) bool {
	env, err := environ(pid)
	return err == nil && len(env) > 0 && !hasSomeMark(env)
}

// isGone reports whether a process has ended.
func isGone(pid int) bool {
	p, ok := readStat("/proc", pid)
	return !ok || p.Dead
}

// ignoresHangup reports whether a process ignores SIGHUP.
func ignoresHangup(pid int) bool { return hasSignal(pid, "SigIgn", unix.SIGHUP) }

// hasSignal reports whether a signal is in a set of proc_pid_status(5).
func hasSignal(pid int, set string, signal unix.Signal) bool {
	status, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	_, rest, _ := bytes.Cut(status, []byte("\n"+set+":\t"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	mask, err := strconv.ParseUint(string(line), 16, 64)
	return err == nil && mask&(1<<(signal-1)) != 0
}

// isDying reports whether a process has been killed and not yet reaped. Either its SIGKILL is
// pending, or it is on its way out (PF_EXITING and PF_SIGNALED of the kernel's sched.h, in the
// ninth field of proc_pid_stat(5)).
func isDying(pid int) bool {
	for _, set := range []string{"ShdPnd", "SigPnd"} {
		if hasSignal(pid, set, unix.SIGKILL) {
			return true
		}
	}
	const exiting, signaled = 0x4, 0x400
	flags := statField(pid, 9)
	return flags > 0 && flags&(exiting|signaled) != 0
}

// HeedsHangup reports whether a process does not ignore SIGHUP.
func HeedsHangup(pid int) bool { return !ignoresHangup(pid) }

// GroupThatHeedsHangup lists the live members of a process group that don't ignore
// SIGHUP.
func GroupThatHeedsHangup(group int) []int {
	var pids []int
	for _, p := range readAll("/proc") {
		if pgid, err := unix.Getpgid(p.PID); err == nil && pgid == group && !p.Dead && !ignoresHangup(p.PID) {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

// isContext reports whether a process is a guard or a worker. A context ends by itself.
func isContext(pid int) bool {
	word := firstArgument(pid)
	return strings.HasPrefix(word, GuardPrefix) || strings.HasPrefix(word, WorkerPrefix)
}

func isGuard(pid int) bool { return strings.HasPrefix(firstArgument(pid), GuardPrefix) }

func firstArgument(pid int) string {
	line, _ := readStart(pid, "cmdline")
	words := bytes.SplitN(line, []byte{0}, 3)
	if len(words) < 2 {
		return ""
	}
	return string(words[1])
}

// session returns the session ID of a process, 0 if there is no such process.
func session(pid int) int {
	sid, _ := unix.Getsid(pid)
	return max(sid, 0)
}
