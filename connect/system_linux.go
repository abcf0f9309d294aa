package connect

import (
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
