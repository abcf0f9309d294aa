//go:build darwin || freebsd

package fakessh

import "golang.org/x/sys/unix"

// peerUID returns the user of the process at the other end of a Unix socket.
func peerUID(fd int) (int, error) {
	const local = 0 // the level of options of Unix sockets
	cred, err := unix.GetsockoptXucred(fd, local, unix.LOCAL_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(cred.Uid), nil
}
