//go:build unix

package main

import (
	"os"
	"syscall"
)

var (
	// endingSignals are the signals by which people and systems end programs.
	endingSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}
	resizeSignals = []os.Signal{syscall.SIGWINCH}
)

func isResize(s os.Signal) bool { return s == syscall.SIGWINCH }
