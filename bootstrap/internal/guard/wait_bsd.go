//go:build unix && !linux

package guard

import "os"

func noChildren() bool {
	self := os.Getpid()
	return len(descendants(processes(self), self)) == 0
}
