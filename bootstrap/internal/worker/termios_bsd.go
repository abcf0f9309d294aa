//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package worker

import "golang.org/x/sys/unix"

const ioctlGetTermios = unix.TIOCGETA
