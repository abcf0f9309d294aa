package attach

import (
	"net"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// peerOf tells who has connected to, or listens on, a socket of this host.
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
