package attach

import (
	"fmt"
	"net"
	"os"
)

// Peer is a process that wants to join, as the kernel describes it.
type Peer struct {
	UID int
	PID int // 0 where the system does not say
}

// checkPeer returns the process at the other end. It is an error if that is another
// user's.
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
