//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package disk

import "os"

// lockFile locks nothing on these systems. Two copies with Options.Resume that write to
// one target at once notice that by their checksums.
func lockFile(*os.File) bool { return true }
