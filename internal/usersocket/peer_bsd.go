//go:build darwin || freebsd

package usersocket

import (
	"net"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// peerOf returns the process that has connected to a socket of this host, or listens
// on it. It asks as getpeereid(3) does.
func peerOf(c *net.UnixConn) (p Peer, err error) {
	err = descriptor.Control(c, func(fd int) error {
		cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		if err == nil {
			p = Peer{UID: int(cred.Uid)}
		}
		return err
	})
	return p, err
}
