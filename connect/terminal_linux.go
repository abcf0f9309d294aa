package connect

import "golang.org/x/sys/unix"

const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
	// disabledChar is _POSIX_VDISABLE.
	disabledChar = 0
)
