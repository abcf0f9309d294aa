//go:build !unix

package files

import "io/fs"

func ownerOf(fs.FileInfo) (uid, gid int) { return -1, -1 }

func ours(fs.FileInfo) bool { return true }

const openCalmly = 0
