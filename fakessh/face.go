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

// The names in the private directory.
const (
	dirPrefix  = "mitosis-ssh-"
	socketName = "socket"
)

// faces are the names under which this program is somebody else.
var faces = [...]string{"ssh", "scp", "sftp"}

func init() { contexts.BeforeInit(face) }

// face ends the process if it was started as one of the faces, by a command
// that was made here. The name alone says nothing: somebody may call his program
// ssh.
func face() {
	name := filepath.Base(os.Args[0])
	if !slices.Contains(faces[:], name) {
		return
	}
	socket := os.Getenv(socketVariable)
	if dir := filepath.Dir(os.Args[0]); socket == "" && strings.HasPrefix(filepath.Base(dir), dirPrefix) {
		socket = filepath.Join(dir, socketName) // the environment was cleared on the way
	}
	if socket == "" {
		return
	}
	if name == "ssh" {
		os.Exit(runShim(socket, os.Args[1:]))
	}
	os.Exit(runWrapped(name, filepath.Join(filepath.Dir(socket), "ssh"), os.Args[1:]))
}
