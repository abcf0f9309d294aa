//go:build unix && !linux

package guard

import "os"

func noChildren() bool {
	self := os.Getpid()
	return len(descendants(table(self), self)) == 0
}
