package attach

import (
	"cmp"
	"fmt"
	"net"
	"os"
)

// Peer is a process that wants to join, as the kernel tells of it.
type Peer struct {
	UID int
	PID int // 0 where the system does not tell
}

// checkPeer returns who is at the other end, and an error if that is another user.
func checkPeer(c net.Conn) (Peer, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return Peer{}, ErrOtherUser
	}
	p, err := peerOf(u)
	if err == nil && p.UID != os.Geteuid() {
		err = fmt.Errorf("%w: its user ID is %d, ours %d", ErrOtherUser, p.UID, os.Geteuid())
	}
	return p, err
}

// control runs f with the descriptor of a connection.
func control(c *net.UnixConn, f func(fd int) error) error {
	conn, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = conn.Control(func(fd uintptr) { inner = f(int(fd)) })
	return cmp.Or(err, inner)
}
