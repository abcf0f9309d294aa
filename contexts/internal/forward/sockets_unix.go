//go:build unix

package forward

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// kernelBacklog is how many connections may wait for Accept; the kernel has a bound of
// its own.
const kernelBacklog = 4096

// listenSocket listens on a socket in the file system. The socket gets its permissions
// between bind and listen, when nobody can connect: the umask would hold for the whole
// process.
func (c *SocketConfig) listenSocket(ctx context.Context, path string) (net.Listener, error) {
	if path == "" || path[0] == '@' { // not in the file system
		return new(net.ListenConfig).Listen(ctx, "unix", path)
	}
	fail := func(err error) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: path}, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	if strings.IndexByte(path, 0) >= 0 {
		return fail(os.NewSyscallError("bind", syscall.EINVAL))
	}
	if c.Unlink {
		if err := unlinkSocket(path); err != nil {
			return fail(err)
		}
	}
	file, err := c.bindSocket(path)
	if err != nil {
		return fail(err)
	}
	defer file.Close() // the listener has a descriptor of its own
	ln, err := net.FileListener(file)
	if err != nil {
		os.Remove(path)
		return fail(err)
	}
	s := &socketListener{Listener: ln, path: path}
	s.info, _ = os.Lstat(path)
	return s, nil
}

func (c *SocketConfig) bindSocket(path string) (*os.File, error) {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), path)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		file.Close()
		return nil, os.NewSyscallError("bind", err)
	}
	err = os.NewSyscallError("chmod", unix.Chmod(path, uint32(c.mode())))
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, kernelBacklog))
	}
	if err != nil {
		os.Remove(path)
		file.Close()
		return nil, err
	}
	return file, nil
}

// ListenDatagrams opens a socket for datagrams. One in the file system has the
// permissions of a SocketConfig.
func ListenDatagrams(ctx context.Context, network, addr string) (net.PacketConn, error) {
	var lc net.ListenConfig
	if network != "unixgram" || addr == "" || addr[0] == '@' {
		return lc.ListenPacket(ctx, network, addr)
	}
	mode := new(SocketConfig).mode()
	// Datagrams can be sent to it from bind on. Linux gives the file no permissions
	// that the socket does not have; other systems refuse this.
	lc.Control = func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), uint32(mode)) })
	}
	c, err := lc.ListenPacket(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(addr, mode); err != nil {
		c.Close()
		_ = os.Remove(addr)
		return nil, err
	}
	return c, nil
}

// unlinkSocket removes a socket and nothing else.
func unlinkSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// socketListener is a listener whose socket is in the file system.
type socketListener struct {
	// Immutable after listenSocket.
	net.Listener
	path string
	info os.FileInfo // of the socket; nil: unknown

	once sync.Once
}

// Close implements net.Listener. It removes the socket first, so that nobody finds a socket
// on which nobody listens.
func (s *socketListener) Close() error {
	s.once.Do(func() {
		if now, err := os.Lstat(s.path); err == nil && s.info != nil && os.SameFile(now, s.info) {
			_ = os.Remove(s.path)
		}
	})
	return s.Listener.Close()
}
