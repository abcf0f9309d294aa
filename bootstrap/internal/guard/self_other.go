//go:build !linux

package guard

import "os"

// SelfPath names this executable for opening and executing.
func SelfPath() (string, error) { return os.Executable() }
