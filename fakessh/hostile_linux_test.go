package fakessh

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
)

// Another user does not get to the socket; and where somebody has opened the
// directory for him, he gets no answer.
func TestAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	p := openProxy(t, Hosts{})
	connect := func() (err error) {
		as(func() {
			fd, socketErr := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err = socketErr; err == nil {
				err = unix.Connect(fd, &unix.SockaddrUnix{Name: filepath.Join(p.dir, shim.SocketName)})
				unix.Close(fd)
			}
		})
		return err
	}
	if err := connect(); err != unix.EACCES {
		t.Errorf("another user connects with error %v, want %v", err, unix.EACCES)
	}
	for path, mode := range map[string]os.FileMode{filepath.Dir(p.dir): 0o755, p.dir: 0o755, filepath.Join(p.dir, shim.SocketName): 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := connect(); err != nil {
		t.Fatal(err)
	}
	var other, root stranger
	as(func() { other = connectTo(t, p) })
	other.send(message(t, call1("h")), 3)
	other.ended(t)
	root = connectTo(t, p)
	root.send(message(t, call1("h")), 3)
	expectExit(t, root, "could not resolve hostname h")
}

// as runs f as another user, in a thread that ends with it.
func as(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		const nobody = 65534
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno == 0 {
			f()
		}
	}()
	<-done
}
