// Package usersocket has what makes a unix socket one of a user alone: the check of the process at
// the other end, and that of the directory.
package usersocket

import (
	"errors"
	"fmt"
	"net"
	"os"
)

var (
	// ErrOtherUser says that the process at the other end is another user's.
	ErrOtherUser = errors.New("the process at the other end is another user's")
	// ErrExposed says that other users can reach a socket in the directory, or put another in its
	// place.
	ErrExposed = errors.New("the directory of the socket is not the user's alone")
	// ErrPathTooLong says that a path does not fit into the address of a socket.
	ErrPathTooLong = errors.New("the path is too long for a unix socket")
)

// Peer is the process at the other end of a socket, as the kernel describes it.
type Peer struct {
	UID int
	PID int // 0 where the system does not say
}

// CheckPeer returns the process at the other end. It is an error if that is another
// user's.
func CheckPeer(c net.Conn) (Peer, error) {
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
