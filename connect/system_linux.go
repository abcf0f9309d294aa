package connect

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// getTermios is the request that reads the settings of a terminal.
const getTermios = unix.TCGETS

// ownSession starts a tool apart from the signals of our terminal, and ends it
// with us even where it would not notice.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
