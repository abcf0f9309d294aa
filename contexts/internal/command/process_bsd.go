//go:build unix && !linux

package command

import (
	"os"
	"syscall"
)

// tieToParent: there is no parent-death signal.
func tieToParent(*syscall.SysProcAttr) {}

// canonical: most programs that read a terminal read lines.
func canonical(*os.File) bool { return true }
