//go:build !linux

package guard

import "os"

// SelfPath returns a path by which this executable can be opened and executed.
func SelfPath() (string, error) { return os.Executable() }
