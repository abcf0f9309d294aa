// Package shim is the part of fakessh that tools start in place of ssh, and the messages
// between it and the program.
//
// A shim is a process of the program's own executable. A tool may start hundreds of them, so
// they have to be fast. Go initialises packages after their imports, and this one imports
// little: a shim has done its work and ended before most of the program's variables are
// initialised.
package shim

// Names are the names under which the executable is a shim: those of OpenSSH's ssh and of the
// programs that run it.
var Names = [...]string{"ssh", "slogin", "scp", "sftp"}

// SocketVariable is the environment variable that leads a shim to its program. Its
// value is the path of a socket.
const SocketVariable = "MITOSIS_SSH"

// The names of the private directory, of the directory behind it in PATH, which
// stays when the program has ended, and of the socket.
const (
	DirPrefix   = "mitosis-ssh-"
	EndedPrefix = "mitosis-ended-"
	SocketName  = "socket"
)

// EndedText is the message of an ssh whose program has ended.
const EndedText = "the program that this ssh belonged to has ended: the way to its hosts is gone"

// ExitFailed is the exit status of ssh if it fails itself.
const ExitFailed = 255
