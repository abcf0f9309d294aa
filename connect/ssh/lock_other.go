//go:build !unix

package ssh

import "os"

// lockFile does nothing: a single write of a line appended is all the order
// that there is without flock.
func lockFile(*os.File) error { return nil }
