//go:build !unix

package connect

import "os"

// lockFile does nothing: a single write of a line appended is all the order
// that there is without flock.
func lockFile(*os.File) error { return nil }
