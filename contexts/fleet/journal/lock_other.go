//go:build !unix || solaris

package journal

import "os"

// lock does nothing: this system has no such locks, or none that end with the process.
func lock(*os.File) error { return nil }
