package files

import (
	"crypto/rand"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const doorPrefix = "@mitosis-lanes-"

// isDoor reports whether an address may be that of a door.
func isDoor(address string) bool { return strings.HasPrefix(address, doorPrefix) }

// listenHere listens where processes of this host can connect. The socket has no file, which
// a killed process would leave.
func listenHere() (l *net.UnixListener, remove func(), err error) {
	l, err = net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: doorPrefix + rand.Text()})
	return l, func() {}, err
}

// isOurs reports whether a process of this user has connected. Every user can connect to a
// socket without a file.
func isOurs(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	ours := false
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		ours = err == nil && int(cred.Uid) == os.Geteuid()
	})
	return err == nil && ours
}
