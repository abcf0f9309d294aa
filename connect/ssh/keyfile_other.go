//go:build !unix

package ssh

import "io/fs"

// exposed can't be told from mode bits where there are access lists.
func exposed(fs.FileInfo) bool { return false }
