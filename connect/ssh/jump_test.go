//go:build unix

package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

// jumpHost is a server with a key and a user of its own.
func jumpHost(t *testing.T, user string) (*sshtest.Server, Login) {
	signer, private := sshtest.NewKey(t)
	server := sshtest.Start(t, sshtest.OnlyKey(signer.PublicKey(), user))
	s := methodFor(t, server)
	s.User = user
	s.Keys = []connect.Secret{connect.Secret(sshtest.PEMKey(t, private, ""))}
	return server, s
}

func TestSSHJumps(t *testing.T) {
	connecttest.CheckLeaks(t)
	firstServer, first := jumpHost(t, "alice")
	secondServer, second := jumpHost(t, "bob")
	_, target := jumpHost(t, "carol")
	target.ProxyJump = []Login{first, second}
	mustRun(t, target, nil)
	if firstServer.Users() != "alice" || secondServer.Users() != "bob" {
		t.Fatal(firstServer.Users(), secondServer.Users())
	}
	if len(firstServer.Commands)+len(secondServer.Commands) > 0 {
		t.Fatal("a jump host ran something")
	}
	t.Run("wrong host key in the middle", func(t *testing.T) {
		target := target
		bad := second
		bad.KnownHostsFiles = first.KnownHostsFiles
		target.ProxyJump = []Login{first, bad}
		_, err := dialSSH(t, target, testEnv("true"))
		if !errors.Is(err, connect.ErrHostKeyUnknown) || !strings.Contains(err.Error(), "jump bob@") {
			t.Fatal(err)
		}
	})
	t.Run("target that is closed", func(t *testing.T) {
		target := target
		target.Port = connecttest.ClosedPort(t)
		_, err := dialSSH(t, target, testEnv("true"))
		if !errors.Is(err, connect.ErrRefused) || !strings.Contains(err.Error(), "bob@") {
			t.Fatal(err)
		}
	})
	t.Run("forwarding forbidden", func(t *testing.T) {
		target := target
		server := sshtest.Start(t, func(s *sshtest.Server) { s.Refuse = "direct-tcpip" })
		target.ProxyJump = []Login{methodFor(t, server)}
		if _, err := dialSSH(t, target, testEnv("true")); !errors.Is(err, connect.ErrPermission) {
			t.Fatal(err)
		}
	})
}

// Servers say why they could not connect in the words of their system: OpenSSH's
// and dropbear's of the C library, those in Go of theirs.
func TestJumpClass(t *testing.T) {
	for said, want := range map[string]error{
		"Connection refused":                       connect.ErrRefused,
		"dial tcp 10.0.0.7:22: connection refused": connect.ErrRefused,
		"open failed":                              connect.ErrUnreachable,
		"Connect failed":                           connect.ErrUnreachable,
		"No route to host":                         connect.ErrUnreachable,
		"Network is unreachable":                   connect.ErrUnreachable,
		"Temporary failure in name resolution":     connect.ErrResolver,
		"Name or service not known":                connect.ErrNoHost,
		"No address associated with hostname":      connect.ErrNoHost,
		"lookup nosuch: no such host":              connect.ErrNoHost,
		"Connection timed out":                     connect.ErrTimeout,
		"dial tcp 10.0.0.7:22: i/o timeout":        connect.ErrTimeout,
	} {
		if got := jumpClass(&ssh.OpenChannelError{Reason: ssh.ConnectionFailed, Message: said}); got != want {
			t.Errorf("%q is %v, not %v", said, got, want)
		}
	}
	if got := jumpClass(&ssh.OpenChannelError{Reason: ssh.Prohibited, Message: "Connection refused"}); got != connect.ErrPermission {
		t.Error(got)
	}
}

// The target accepts and says nothing, so that cancelling finds the client
// waiting on a channel of the jump host.
func TestSSHJumpIsCancelled(t *testing.T) {
	connecttest.CheckLeaks(t)
	_, first := jumpHost(t, "alice")
	ln := silentPort(t)
	target := Login{Host: "127.0.0.1", Port: ln, NoConfig: true, NoAgent: true, ProxyJump: []Login{first}}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := target.openFrom(ctx, testEnv("true"), testPlaces(t))
	if !errors.Is(err, connect.ErrTimeout) || !strings.Contains(err.Error(), phaseBanner.String()) || time.Since(start) > 3*time.Second {
		t.Fatal(err, time.Since(start))
	}
}

func TestSSHJumpsOfTheConfiguration(t *testing.T) {
	connecttest.CheckLeaks(t)
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("no ssh program")
	}
	firstServer, first := jumpHost(t, "alice")
	_, target := jumpHost(t, "carol")
	dir := t.TempDir()
	key := connecttest.WriteFile(t, filepath.Join(dir, "jump key"), string(first.Keys[0]), 0o600)
	targetKey := connecttest.WriteFile(t, filepath.Join(dir, "target"), string(target.Keys[0]), 0o600)
	known := first.KnownHostsFiles[0] + " " + target.KnownHostsFiles[0]
	config := connecttest.WriteFile(t, filepath.Join(dir, "config"), fmt.Sprintf(`
Host bastion
  HostName 127.0.0.1
  Port %d
  User alice
  IdentityFile "%s"
Host web
  HostName 127.0.0.1
  Port %d
  User carol
  IdentityFile %s
  ProxyJump bastion
Host *
  UserKnownHostsFile %s
  GlobalKnownHostsFile none
`, first.Port, key, target.Port, targetKey, known), 0o600)
	for _, program := range []string{"ssh", ""} {
		places := testPlaces(t)
		places.Program = program
		c, err := Login{Host: "web", ConfigFile: config, NoAgent: true}.openFrom(connecttest.TestContext(t), testEnv("echo there"), places)
		if err != nil {
			t.Fatal(err)
		}
		out, _ := io.ReadAll(c)
		c.Close()
		if string(out) != "there\n" {
			t.Fatalf("the command behind the jump hosts prints %q, want there", out)
		}
	}
	if firstServer.Users() != "alice,alice" {
		t.Fatal(firstServer.Users())
	}

	config = connecttest.WriteFile(t, filepath.Join(dir, "loop"), "Host *\nHostName 127.0.0.1\nProxyJump b\n", 0o600)
	if _, err := (Login{Host: "a", ConfigFile: config}).openFrom(connecttest.TestContext(t), testEnv("true"), testPlaces(t)); !errors.Is(err, connect.ErrStart) {
		t.Fatal(err)
	}
}

type countingDialer struct {
	net.Dialer
	dialled []string
}

func (d *countingDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d.dialled = append(d.dialled, addr)
	return d.Dialer.DialContext(ctx, network, addr)
}

func TestSSHThrough(t *testing.T) {
	connecttest.CheckLeaks(t)
	_, first := jumpHost(t, "alice")
	_, target := jumpHost(t, "carol")
	through := &countingDialer{}
	target.Through = through
	mustRun(t, target, nil)
	if len(through.dialled) != 1 {
		t.Fatal(through.dialled)
	}
	// With jumps it is the first connection that goes through.
	target.ProxyJump = []Login{first}
	mustRun(t, target, nil)
	if len(through.dialled) != 2 || through.dialled[1] != check.HostPort("127.0.0.1", first.Port) {
		t.Fatal(through.dialled)
	}
}

func TestSSHProxyCommand(t *testing.T) {
	connecttest.CheckLeaks(t)
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("no python3 to write a proxy in")
	}
	dir := t.TempDir()
	pids := filepath.Join(dir, "pids")
	proxy := connecttest.WriteFile(t, filepath.Join(dir, "proxy.py"), `
import os, socket, sys, threading
open(os.environ.get("PIDS", "`+pids+`"), "a").write("%d\n" % os.getpid())
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while True:
        b = os.read(0, 65536)
        if not b: os._exit(0)
        s.sendall(b)
threading.Thread(target=up, daemon=True).start()
while True:
    b = s.recv(65536)
    if not b: os._exit(0)
    os.write(1, b)
`, 0o600)
	_, s := jumpHost(t, "carol")
	s.ProxyCommand = "python3 " + proxy + " %h %p # %r 100%%"
	mustRun(t, s, nil)
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(text))); err == nil {
		t.Fatal("the proxy command is still there")
	}

	t.Run("failing", func(t *testing.T) {
		s := s
		s.ProxyCommand = "sh -c 'echo no such proxy >&2; exit 3'"
		_, err := dialSSH(t, s, testEnv("true"))
		if !errors.Is(err, connect.ErrStart) || !strings.Contains(err.Error(), "no such proxy") || !strings.Contains(err.Error(), "exit status 3") {
			t.Fatal(err)
		}
	})
	t.Run("silent and deaf", func(t *testing.T) {
		s := s
		s.ProxyCommand = "sh -c 'trap \"\" HUP TERM; sleep 60; sleep 60'"
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := s.openFrom(ctx, testEnv("true"), testPlaces(t))
		if !errors.Is(err, connect.ErrTimeout) || time.Since(start) > 5*time.Second {
			t.Fatal(err, time.Since(start))
		}
	})
	t.Run("names that a shell would read", func(t *testing.T) {
		s := s
		s.User = "a;touch$IFS" + dir + "/bad"
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrBadName) {
			t.Fatal(err)
		}
	})
}

// silentPort accepts and says nothing.
func silentPort(t *testing.T) int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}
