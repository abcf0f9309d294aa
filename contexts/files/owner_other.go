//go:build !unix

package files

import "io/fs"

// ownerOf returns -1 and -1: files have no such owners here.
func ownerOf(fs.FileInfo) (uid, gid int) { return -1, -1 }

func ours(fs.FileInfo) bool { return true }

const openCalmly = 0
