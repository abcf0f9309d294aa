//go:build linux || darwin || freebsd

package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/internal/usersocket"
)

// socket is the broker's socket, with the lock that says that a broker lives.
type socket struct {
	*net.UnixListener
	path string
	file fs.FileInfo // of the socket that was bound
	lock *os.File

	once   sync.Once
	closed chan struct{} // closed by Close
}

// bind takes the lock of a path, and makes the socket. The lock is a file beside the socket. It
// stays when the broker ends: a file that is removed can be locked by one process and made anew by
// another.
func bind(path string) (*socket, error) {
	if err := usersocket.CheckPath(path); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%q is no absolute path: is there a home directory?", path)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d, err := usersocket.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	_ = d.Close()
	s := &socket{path: path, closed: make(chan struct{})}
	if err := s.takeLock(); err != nil {
		return nil, err
	}
	// Whoever has the lock is the only one: what is there is of a dead broker.
	if err := removeSocket(path); err != nil {
		_ = s.lock.Close()
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		_ = s.lock.Close()
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	s.UnixListener = l
	if err = os.Chmod(path, 0o600); err == nil {
		s.file, err = os.Lstat(path)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *socket) takeLock() error {
	name := strings.TrimSuffix(s.path, ".sock") + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("%w: it has the lock of %s", ErrRunning, name)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	s.lock = f
	return nil
}

// removeSocket removes a socket. It is an error if something else has the name.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return &fs.PathError{Op: "bind", Path: path, Err: fs.ErrExist}
	}
	return os.Remove(path)
}

// remove removes the socket, if it is still there. Clients that come now find no broker.
func (s *socket) remove() {
	if now, err := os.Lstat(s.path); err == nil && s.file != nil && os.SameFile(now, s.file) {
		_ = os.Remove(s.path)
	}
}

// Close ends the listening and gives the lock back.
func (s *socket) Close() {
	s.once.Do(func() {
		close(s.closed)
		_ = s.UnixListener.Close()
		s.remove()
		_ = s.lock.Close()
	})
}

// watchPause is the time between two looks at the socket.
const watchPause = 5 * time.Second

// watch calls gone if the socket is removed or replaced by others. It returns when ctx ends, and
// with Close.
func (s *socket) watch(ctx context.Context, gone func()) {
	ticker := time.NewTicker(watchPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.closed:
			return
		case <-ticker.C:
		}
		if now, err := os.Lstat(s.path); err != nil || !os.SameFile(now, s.file) {
			select {
			case <-s.closed:
			default:
				gone()
			}
			return
		}
	}
}
