package main

import "os"

var (
	// endingSignals has all that there is.
	endingSignals = []os.Signal{os.Interrupt}
	resizeSignals []os.Signal
)

func isResize(os.Signal) bool { return false }
