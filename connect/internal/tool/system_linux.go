package tool

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// The requests that read and write the settings of a terminal, and the value
// that switches a special character off (_POSIX_VDISABLE).
const (
	getTermios   = unix.TCGETS
	setTermios   = unix.TCSETS
	disabledChar = 0
)

// ownSession starts a tool apart from the signals of our terminal, and has the
// kernel kill it when we die. Programs with the set-user-ID bit don't get that
// signal; they end because their pipe and their terminal do.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// isBusy reports whether a process is seen to run, or to wait for the processor or
// a disk: then it does not wait for anybody to type. Whether one that sleeps reads
// from its terminal, the kernel tells only those who may trace it (proc(5), wchan),
// and a program with the set-user-ID bit only root.
func isBusy(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The state stands behind the name, which may hold anything.
	_, rest, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return len(rest) > 0 && (rest[0] == 'R' || rest[0] == 'D')
}
