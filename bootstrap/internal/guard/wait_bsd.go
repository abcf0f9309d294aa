//go:build unix && !linux

package guard

import "os"

func noChildren() bool {
	self := os.Getpid()
	return len(descendants(processes(self), self)) == 0
}

// wasReaped returns false: guards don't sleep on these systems.
func wasReaped(int) bool { return false }

// reapOptions are the options of wait4 behind awaitChild. It waits in its place on these systems,
// where no command is killed with its worker, and nobody asks for those that were.
const reapOptions = 0

func awaitChild() bool { return true }
