package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// dumpAtQuit prints the stacks of all goroutines and ends the process if the signal is SIGQUIT,
// which no command is there to get.
func dumpAtQuit(sig os.Signal) {
	if sig != syscall.SIGQUIT {
		return
	}
	b := make([]byte, 1<<20)
	for n := runtime.Stack(b, true); n == len(b) && n < 1<<26; n = runtime.Stack(b, true) {
		b = make([]byte, 2*len(b))
	}
	b = b[:runtime.Stack(b, true)]
	fmt.Fprintf(os.Stderr, "mitosis %s: %v: the goroutines\n\n%s", version(), sig, b)
	os.Exit(128 + int(syscall.SIGQUIT))
}
