//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package bootstrap

import "golang.org/x/sys/unix"

const ioctlGetTermios = unix.TIOCGETA
