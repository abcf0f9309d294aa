//go:build !unix

package ssh

import "io/fs"

// exposed returns false: on this system mode bits don't tell who may read a file.
func exposed(fs.FileInfo) bool { return false }
