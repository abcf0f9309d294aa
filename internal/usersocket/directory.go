//go:build linux || darwin || freebsd

package usersocket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxPath is the length of the longest path that a socket's address holds, in
// bytes: sun_path of unix(7) with a zero byte behind it.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// CheckPath returns an error for a path that is too long. The kernel only says "invalid
// argument".
func CheckPath(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("%w: %q has %d bytes, %d are allowed", ErrPathTooLong, path, len(path), maxPath)
	}
	return nil
}

// OpenDir opens a directory, and checks that it is the user's alone.
func OpenDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		switch st, ok := info.Sys().(*syscall.Stat_t); {
		case !info.IsDir():
			err = &fs.PathError{Op: "bind", Path: dir, Err: syscall.ENOTDIR}
		case !ok || int(st.Uid) != os.Geteuid():
			err = fmt.Errorf("%w: %s belongs to another user", ErrExposed, dir)
		case info.Mode().Perm()&0o077 != 0:
			err = fmt.Errorf("%w: %s has mode %04o; it needs 0700", ErrExposed, dir, info.Mode().Perm())
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Lock takes the lock of an open file or directory: unix.LOCK_EX, perhaps with unix.LOCK_NB.
func Lock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// A Listener listens at a path to which only the user can connect. Closing it leaves the socket.
type Listener struct {
	*net.UnixListener
	Path string
	file fs.FileInfo // of the socket; another may have taken its place since
}

// Listen makes a socket. Nothing may be at the path.
func Listen(path string) (*Listener, error) {
	u, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		return nil, err
	}
	u.SetUnlinkOnClose(false)
	l := &Listener{UnixListener: u, Path: path}
	if err = os.Chmod(path, 0o600); err == nil {
		l.file, err = os.Lstat(path)
	}
	if err != nil {
		_ = u.Close()
		_ = os.Remove(path)
		return nil, err
	}
	return l, nil
}

// IsThere reports whether the path still leads to this socket.
func (l *Listener) IsThere() bool {
	now, err := os.Lstat(l.Path)
	return err == nil && os.SameFile(now, l.file)
}

// Remove removes the socket, if it is still there.
func (l *Listener) Remove() error {
	if !l.IsThere() {
		return nil
	}
	return os.Remove(l.Path)
}

// IsSocket reports whether a socket is at a path. It is an error if something else is.
func IsSocket(path string) (bool, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.Mode().Type() != fs.ModeSocket:
		return false, &fs.PathError{Op: "bind", Path: path, Err: syscall.EEXIST}
	}
	return true, nil
}
