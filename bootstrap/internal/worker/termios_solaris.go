//go:build aix || solaris

package worker

import "golang.org/x/sys/unix"

const ioctlGetTermios = unix.TCGETS
