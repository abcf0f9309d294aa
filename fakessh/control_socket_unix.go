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

// controlSocket is the socket of an ssh master in the file system. By it other programs pass
// the requests of their shims to the ssh master. It takes datagrams, each with one end of a
// connection as descriptor. So a real ssh fails to connect to the socket, says so, and with -O
// ends with status 255. If it could connect and then met another protocol, it would go on and
// connect to the host by itself.
type controlSocket struct {
	// Immutable.
	path     string
	conn     *net.UnixConn
	identity os.FileInfo   // nil: unknown
	done     chan struct{} // closed by close
}

// newControlSocket makes a socket of mode 0600. Another user may send before it has that mode,
// but is not served.
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

// handOver passes the call to the program behind a control socket. It returns when that program
// has told the shim the result, or hangs up.
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
	return errNoMaster // if the result was told, the shim has ended and does not get this
}

// sendDescriptor sends a datagram with a descriptor. Package net can only do that on sockets
// that are not connected.
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

// helloTime is how long a real ssh master may take to send its hello.
const helloTime = 5 * time.Second

// askMaster returns nil if a real ssh master listens on a socket. That sends the hello of its
// protocol first (PROTOCOL.mux).
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
