//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package connect

import "golang.org/x/sys/unix"

const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
	// disabledChar is _POSIX_VDISABLE.
	disabledChar = 0xff
)
