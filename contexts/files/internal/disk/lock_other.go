//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package disk

import "os"

// lockFile: two copies at once to one target, both with Options.Resume, find
// out by their checksums.
func lockFile(*os.File) bool { return true }
