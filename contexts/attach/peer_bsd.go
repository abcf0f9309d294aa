//go:build darwin || freebsd

package attach

import (
	"net"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// peerOf tells who has connected to, or listens on, a socket of this host. This is
// what getpeereid(3) asks.
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
