//go:build unix

package fakessh

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/contexts"
)

// The environment that leads a shim to its program: the path of a socket.
const socketVariable = "MITOSIS_SSH"

// The names of the private directory, of the one that is behind it in PATH, and of
// the socket.
const (
	dirPrefix   = "mitosis-ssh-"
	endedPrefix = "mitosis-ended-"
	socketName  = "socket"
)

// isOurDir reports whether a directory is one that some program has in PATH for
// its shim.
func isOurDir(dir string) bool {
	base := filepath.Base(dir)
	return strings.HasPrefix(base, dirPrefix) || strings.HasPrefix(base, endedPrefix)
}

func init() { contexts.BeforeInit(face) }

// face ends the process if it was started as one of the faces, by a command
// that was made here. The name alone says nothing: somebody may call his program
// ssh.
func face() {
	name := filepath.Base(os.Args[0])
	if !slices.Contains(faceNames[:], name) {
		return
	}
	socket := os.Getenv(socketVariable)
	if _, dir, ok := inherited(); ok {
		socket = filepath.Join(dir, socketName)
	}
	if socket == "" {
		// The environment was cleared on the way.
		if dir := filepath.Dir(executedAs()); isOurDir(dir) {
			socket = filepath.Join(dir, socketName)
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
