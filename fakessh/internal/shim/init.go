//go:build unix

package shim

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// isOurDir reports whether a program has the directory in PATH for its shim.
func isOurDir(dir string) bool {
	base := filepath.Base(dir)
	return strings.HasPrefix(base, DirPrefix) || strings.HasPrefix(base, EndedPrefix)
}

// The process is a shim if it has one of the names and finds the socket of a proxy. The name
// alone is not enough: somebody may call their own program ssh.
func init() {
	name := filepath.Base(os.Args[0])
	if !slices.Contains(Names[:], name) {
		return
	}
	socket := os.Getenv(SocketVariable)
	if _, dir, ok := inherited(); ok {
		socket = filepath.Join(dir, SocketName)
	}
	if socket == "" {
		// A tool has cleared the environment.
		if dir := filepath.Dir(executedAs()); isOurDir(dir) {
			socket = filepath.Join(dir, SocketName)
		}
	}
	if socket == "" {
		return
	}
	if name == "scp" || name == "sftp" {
		os.Exit(runWrapped(name, socket, os.Args[1:]))
	}
	os.Exit(runShim(socket, os.Args[1:]))
}
