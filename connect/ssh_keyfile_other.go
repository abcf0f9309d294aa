//go:build !unix

package connect

import "io/fs"

// exposed can't be told from mode bits where there are access lists.
func exposed(fs.FileInfo) bool { return false }
