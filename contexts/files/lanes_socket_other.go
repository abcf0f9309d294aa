//go:build !linux

package files

import (
	"net"
	"os"
	"path/filepath"
	"strings"
)

const (
	doorDir  = "mitosis-lanes-"
	doorName = "lanes"
)

// isDoor reports whether an address may be that of a door.
func isDoor(address string) bool {
	dir, name := filepath.Split(address)
	return name == doorName && strings.HasPrefix(filepath.Base(dir), doorDir)
}

// listenHere listens where processes of this user can connect. The caller calls remove.
func listenHere() (l *net.UnixListener, remove func(), err error) {
	dir, err := os.MkdirTemp("", doorDir) // with mode 0700
	if err != nil {
		return nil, nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	if l, err = net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, doorName)}); err != nil {
		remove()
		return nil, nil, err
	}
	return l, remove, nil
}

// isOurs reports whether a process of this user has connected. The directory keeps others
// out.
func isOurs(*net.UnixConn) bool { return true }
