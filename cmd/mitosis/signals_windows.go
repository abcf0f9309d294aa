package main

import "os"

var (
	// endingSignals has the only one of this system.
	endingSignals = []os.Signal{os.Interrupt}
	resizeSignals []os.Signal
)

func isResize(os.Signal) bool { return false }
