//go:build unix

package fakessh

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
)

// Datagrams that bring anything but a connection are thrown away with what they bring.
func TestHostileDatagrams(t *testing.T) {
	p := openProxy(t, Hosts{})
	path := filepath.Join(p.dir, "control")
	s, err := newControlSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	p.calls.Go(func() { s.serve(p) })
	to, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	send := func(b []byte, fds ...int) {
		t.Helper()
		raw, err := to.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var oob []byte
		if len(fds) > 0 {
			oob = unix.UnixRights(fds...)
		}
		writeErr := raw.Write(func(fd uintptr) bool {
			err = unix.Sendmsg(int(fd), b, oob, nil, 0)
			return !errors.Is(err, unix.EAGAIN)
		})
		if err := errors.Join(writeErr, err); err != nil {
			t.Fatal(err)
		}
	}
	// pair sends one end of a connection and returns the other.
	pair := func() net.Conn {
		t.Helper()
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		send([]byte{0}, fds[1])
		unix.Close(fds[1])
		conn, err := shim.ConnOf(os.NewFile(uintptr(fds[0]), "pair"))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	n := int(null.Fd())
	before := openFiles(t)
	for range 100 {
		send(nil)
		send([]byte("x"))
		send(make([]byte, 4096))
		send([]byte("x"), n)
		send([]byte("x"), n, n)
		send([]byte("x"), n, n, n, n, n, n, n, n, n)
	}
	for _, text := range []string{"", "x", "\xff\xff\xff\xff"} {
		conn := pair()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Error(err)
		}
		_ = conn.(*net.UnixConn).CloseWrite()
		if b, err := io.ReadAll(conn); len(b) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("to %q the socket answers %q (error: %v), want the end of the connection", text, b, err)
		}
		conn.Close()
	}
	for end := time.Now().Add(20 * time.Second); openFiles(t) > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors, and there were %d", openFiles(t), before)
		}
	}
	s.close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
