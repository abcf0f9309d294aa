//go:build unix

package fakessh

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// controlSocket is a socket in the file system that says that a master is there, and
// at which other programs hand over what their shims want of it. It is one for datagrams,
// each of which has the end of a connection along: a real ssh can't connect, says so,
// and with -O ends with status 255. When a master hangs up or speaks another protocol ssh goes on
// and connects to the host by itself.
type controlSocket struct {
	// Immutable.
	path     string
	conn     *net.UnixConn
	identity os.FileInfo   // nil: unknown
	done     chan struct{} // closed by close
}

// newControlSocket makes one with mode 0600. Who sends before it has that is another user,
// and not served.
func newControlSocket(path string) (*controlSocket, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		return nil, err
	}
	s := &controlSocket{path: path, conn: conn, done: make(chan struct{})}
	s.identity, _ = os.Lstat(path)
	if err := os.Chmod(path, 0o600); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// serve takes connections to shims of other programs until the socket is closed.
func (s *controlSocket) serve(p *Proxy) {
	r := &rightsReader{conn: s.conn}
	for {
		_, err := r.Read(make([]byte, 1))
		select {
		case <-s.done:
			r.close()
			return
		default:
		}
		if fds := r.received(); err == nil && len(fds) == 1 {
			if conn, err := shim.ConnOf(os.NewFile(uintptr(fds[0]), "connection")); err == nil {
				r.forget()
				p.handle(conn)
			}
		}
		r.close()
	}
}

// handOver has the program behind the control socket of a path do what the shim wants, and
// returns when that has been told or nobody tells.
func (c *call) handOver(path string) error {
	to, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		return err
	}
	defer to.Close()
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	err = sendDescriptor(to, fds[1])
	unix.Close(fds[1])
	conn, connErr := shim.ConnOf(os.NewFile(uintptr(fds[0]), "connection"))
	if err := errors.Join(err, connErr); err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(c.ctx, func() { conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(greetingTime))
	if err := shim.SendGreeting(conn, c.hello, c.fds[:]); err != nil {
		return err
	}
	_, _ = io.Copy(c.conn, conn)
	return errNoMaster // or the shim has ended, and hears nothing of this
}

// sendDescriptor sends a datagram with a descriptor, which package net does on sockets
// only that are not connected.
func sendDescriptor(to *net.UnixConn, fd int) error {
	_ = to.SetWriteDeadline(time.Now().Add(helloTime))
	return descriptor.WriteWhenReady(to, func(socket int) error {
		return unix.Sendmsg(socket, []byte{0}, unix.UnixRights(fd), nil, 0)
	})
}

// close removes the socket, unless another one has taken its place.
func (s *controlSocket) close() {
	if now, err := os.Lstat(s.path); err == nil && s.identity != nil && os.SameFile(now, s.identity) {
		_ = os.Remove(s.path)
	}
	close(s.done)
	s.conn.Close()
}

// helloTime is how long a master of ssh may take to say that it is one.
const helloTime = 5 * time.Second

// askMaster returns nil if a real ssh listens on a socket, which says first what it
// is: a hello of its protocol (PROTOCOL.mux).
func askMaster(path string) error {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(helloTime))
	var hello struct{ Length, Kind, Version uint32 }
	if err := binary.Read(io.LimitReader(conn, 12), binary.BigEndian, &hello); err != nil || hello.Kind != 1 || hello.Version != 4 {
		return errNoMaster
	}
	return nil
}

var errNoMaster = errors.New("no master listens there")
