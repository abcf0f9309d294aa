//go:build aix || solaris

package bootstrap

import "golang.org/x/sys/unix"

const ioctlGetTermios = unix.TCGETS
