// Package shim is the half of fakessh that tools start in place of ssh, and the
// messages by which it speaks to the program.
//
// A shim is a process of the program's own executable, which may be called
// hundreds of times by one tool. The package imports little: Go initialises
// packages in the order of what they import, so the shim does its work and ends
// before most of the program's variables and init functions would have run.
package shim

// Names are the names under which the executable is a shim: all under which
// OpenSSH has its ssh, or what runs it.
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

// EndedText is what every ssh says whose program has ended.
const EndedText = "the program that this ssh belonged to has ended: the way to its hosts is gone"

// ExitFailed is the exit status of ssh where ssh itself fails.
const ExitFailed = 255
