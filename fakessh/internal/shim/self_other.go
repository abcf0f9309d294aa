//go:build unix && !linux

package shim

import "os"

func SelfPath() string {
	path, _ := os.Executable()
	return path
}

// executedAs returns the path by which this program was executed, if os.Args[0] has it.
func executedAs() string { return os.Args[0] }
