//go:build linux || darwin || freebsd

package broker

import (
	"context"
	"errors"
	"fmt"
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
	*usersocket.Listener
	path string
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
	is, err := usersocket.IsSocket(path)
	if is {
		err = os.Remove(path)
	}
	if err == nil {
		s.Listener, err = usersocket.Listen(path)
	}
	if err != nil {
		_ = s.lock.Close()
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
	err = usersocket.Lock(f, unix.LOCK_EX|unix.LOCK_NB)
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

// Close ends the listening and gives the lock back.
func (s *socket) Close() {
	s.once.Do(func() {
		close(s.closed)
		_ = s.Listener.Close()
		_ = s.Remove() // clients that come now find no broker
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
		if !s.IsThere() {
			select {
			case <-s.closed:
			default:
				gone()
			}
			return
		}
	}
}
