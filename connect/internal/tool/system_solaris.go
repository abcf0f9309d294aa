package tool

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

// ownSession starts a tool apart from the signals of our terminal. The system
// has no parent-death signal: the end of its input and of its terminal end it.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// isBusy reports whether a process is seen to do something. Here nobody looks.
func isBusy(int) bool { return false }

// waitsFor finds out whether a tool reads from its terminal. Here nobody looks.
func waitsFor(int) waiting { return waitsUnknown }
