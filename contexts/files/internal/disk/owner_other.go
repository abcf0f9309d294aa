//go:build !unix

package disk

import "io/fs"

// OwnerOf returns -1 and -1, as files have no numeric owners on these systems.
func OwnerOf(fs.FileInfo) (uid, gid int) { return -1, -1 }

func ours(fs.FileInfo) bool { return true }

// NoWait is needed on Unix only.
const NoWait = 0
