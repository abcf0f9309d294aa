package files

import (
	"crypto/rand"
	"net"
	"strings"

	"github.com/mitosis-go/mitosis/internal/usersocket"
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
	_, err := usersocket.CheckPeer(c)
	return err == nil
}
