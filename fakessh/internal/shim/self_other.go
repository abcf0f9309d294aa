//go:build unix && !linux

package shim

import "os"

func SelfPath() string {
	path, _ := os.Executable()
	return path
}

// executedAs is the path by which this program was executed, if whoever did so has
// said it.
func executedAs() string { return os.Args[0] }
