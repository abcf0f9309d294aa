//go:build linux || darwin || freebsd

package attach

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/internal/usersocket"
)

// socket is a unix socket that only the user can reach.
type socket struct {
	*usersocket.Listener
	path string
	made bool // we have made its directory
}

// bind makes a socket, with an empty path in a directory of its own.
func bind(path string) (*socket, error) {
	s := &socket{path: path}
	if path == "" {
		dir, err := os.MkdirTemp("", "mitosis-") // with mode 0700
		if err != nil {
			return nil, err
		}
		s.path, s.made = filepath.Join(dir, "attach"), true
	}
	err := s.bind()
	if err != nil && s.made {
		_ = os.Remove(filepath.Dir(s.path))
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *socket) bind() error {
	if err := usersocket.CheckPath(s.path); err != nil {
		return err
	}
	dir := filepath.Dir(s.path)
	if err := os.Mkdir(dir, 0o700); err == nil {
		s.made = true
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	unlock, err := lockOwn(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := clear(s.path); err != nil {
		return err
	}
	s.Listener, err = usersocket.Listen(s.path)
	return err
}

// lockOwn checks that a directory is the user's alone, and keeps other processes of the
// user from binding and removing sockets there at the same time.
func lockOwn(dir string) (unlock func(), err error) {
	f, err := usersocket.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	if err := usersocket.Lock(f, unix.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// clear removes a socket on which no process listens any more.
func clear(path string) error {
	if is, err := usersocket.IsSocket(path); !is {
		return err
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return &fs.PathError{Op: "bind", Path: path, Err: fmt.Errorf("%w: a process listens there", syscall.EADDRINUSE)}
}

// Close ends the listening, and removes the socket and the directory that we have made.
func (s *socket) Close() error {
	err := s.Listener.Close()
	dir := filepath.Dir(s.path)
	if unlock, lockErr := lockOwn(dir); lockErr == nil {
		err = errors.Join(err, s.Remove())
		unlock()
	}
	if s.made {
		_ = os.Remove(dir) // which fails while there is another socket in it
	}
	return err
}
