package guard

import "os"

// Link is the link where there is no guard.
var Link struct{ In, Out *os.File }

// runGuard makes this very process the worker: Windows has no process tree to
// guard; the carrier puts the child into a job object instead. It reports that
// the program may go on.
func runGuard(marker string, args []string) bool {
	Marker = marker
	giveBack()
	if len(args) > 0 && len(args[0]) > len(ImagePrefix) && args[0][:len(ImagePrefix)] == ImagePrefix {
		ImageHash = args[0][len(ImagePrefix):]
	}
	Link.In, Link.Out = os.Stdin, os.Stdout
	os.Stdin, _ = os.Open(os.DevNull)
	os.Stdout = os.Stderr
	return true
}

func prepareWorker() {}

func tryMemfd() {}
