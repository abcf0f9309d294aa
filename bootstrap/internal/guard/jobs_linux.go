package guard

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// keepFlag is the flag of the file that the worker shares with its guard as its
// lease by which the two know that there may be jobs. It means nothing to a timer,
// and it is there when the worker has been killed.
const keepFlag = unix.O_APPEND

// KeepJobs has this context spare jobs from now on.
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

// keepsJobs reports whether the worker that has a lease has said KeepJobs.
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
	for _, p := range processes(root) {
		if p.Parent != root || p.PID == self || p.Dead || isContext(p.PID) || keep && !isMarked(p.PID) {
			continue
		}
		name, _ := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/comm")
		left = append(left, Left{p.PID, string(bytes.TrimSpace(name))})
	}
	return left
}

// isMarked reports whether a process has the mark of some context, as far as that can
// be seen.
func isMarked(pid int) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return err == nil && (bytes.HasPrefix(env, []byte(markVariable)) || bytes.Contains(env, []byte("\x00"+markVariable)))
}

// hasNoMark reports whether it can be seen that a process has none.
func hasNoMark(pid int) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return err == nil && len(env) > 0 && !isMarked(pid)
}

// isGone reports whether a process has ended.
func isGone(pid int) bool {
	p, ok := readStat("/proc", pid)
	return !ok || p.Dead
}

// ignoresHangup reports whether a process ignores SIGHUP.
func ignoresHangup(pid int) bool {
	status, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	_, rest, _ := bytes.Cut(status, []byte("\nSigIgn:\t"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	mask, err := strconv.ParseUint(string(line), 16, 64)
	return err == nil && mask&(1<<(unix.SIGHUP-1)) != 0
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

// isContext reports whether a process is a guard or a worker, which see to their own
// end.
func isContext(pid int) bool {
	word := firstArgument(pid)
	return strings.HasPrefix(word, GuardPrefix) || strings.HasPrefix(word, WorkerPrefix)
}

func isGuard(pid int) bool { return strings.HasPrefix(firstArgument(pid), GuardPrefix) }

func firstArgument(pid int) string {
	line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	words := bytes.SplitN(line, []byte{0}, 3)
	if len(words) < 2 {
		return ""
	}
	return string(words[1])
}

// session returns 0 for a process that is not there.
func session(pid int) int {
	sid, _ := unix.Getsid(pid)
	return max(sid, 0)
}
