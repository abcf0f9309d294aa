package usersocket

import (
	"net"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// peerOf returns the process that has connected to a socket of this host, or listens
// on it.
func peerOf(c *net.UnixConn) (p Peer, err error) {
	err = descriptor.Control(c, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			p = Peer{UID: int(cred.Uid), PID: int(cred.Pid)}
		}
		return err
	})
	return p, err
}
