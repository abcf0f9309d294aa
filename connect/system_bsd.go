//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package connect

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// getTermios is the request that reads the settings of a terminal.
const getTermios = unix.TIOCGETA

// ownSession starts a tool apart from the signals of our terminal. The system
// has no parent-death signal: the end of its input and of its terminal end it.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
