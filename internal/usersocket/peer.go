// Package usersocket has what makes a unix socket one of a user alone: the check of the process at
// the other end, and that of the directory.
package usersocket

import (
	"context"
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

// Dial connects to a socket whose process must be the user's.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if _, err := CheckPeer(c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Begun is a connection of which some bytes were read already: Read returns these first.
type Begun struct {
	net.Conn
	Left []byte // owned by the one reader
}

// Read implements io.Reader.
func (c *Begun) Read(b []byte) (int, error) {
	if len(c.Left) > 0 {
		n := copy(b, c.Left)
		c.Left = c.Left[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
