//go:build unix

package connect

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

// sshServer is an SSH server of the test's own: it runs commands by /bin/sh,
// forwards connections, and takes whom its config takes.
type sshServer struct {
	config *ssh.ServerConfig
	host   ssh.Signer
	ln     net.Listener

	mu       sync.Mutex
	conns    map[net.Conn]bool
	commands []string
	logins   []string // user names of the connections that were let in
	asked    int      // keepalive requests
	work     sync.WaitGroup

	// Set before the first connection.
	onConn    func(net.Conn) net.Conn // may wrap, or take over and return nil
	refuse    string                  // channel type that is refused
	refuseRun bool                    // exec requests are refused
	pretend   bool                    // a command is accepted, and nothing is run
}

func newKey(t testing.TB) (ssh.Signer, ed25519.PrivateKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, private
}

func pemKey(t testing.TB, private any, passphrase string) string {
	t.Helper()
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func writeFile(t testing.TB, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// startServer listens on loopback. setup may be nil: then anybody may enter.
func startServer(t testing.TB, setup func(*sshServer)) *sshServer {
	t.Helper()
	s := newServer(t, setup)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.ln = ln
	s.work.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.work.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(s.stop)
	return s
}

func newServer(t testing.TB, setup func(*sshServer)) *sshServer {
	host, _ := newKey(t)
	s := &sshServer{config: &ssh.ServerConfig{MaxAuthTries: 6}, host: host, conns: map[net.Conn]bool{}}
	if setup != nil {
		setup(s)
	}
	c := s.config
	if c.PasswordCallback == nil && c.PublicKeyCallback == nil && c.KeyboardInteractiveCallback == nil {
		c.NoClientAuth = true
	}
	c.AddHostKey(s.host)
	return s
}

func (s *sshServer) stop() {
	if s.ln != nil {
		s.ln.Close()
	}
	s.mu.Lock()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
}

func (s *sshServer) port() int { return s.ln.Addr().(*net.TCPAddr).Port }

func (s *sshServer) serve(conn net.Conn) {
	if s.onConn != nil {
		if conn = s.onConn(conn); conn == nil {
			return
		}
	}
	s.mu.Lock()
	s.conns[conn] = true
	s.mu.Unlock()
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	server, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.logins = append(s.logins, server.User())
	s.mu.Unlock()
	s.work.Go(func() {
		for r := range requests {
			s.mu.Lock()
			s.asked++
			s.mu.Unlock()
			r.Reply(false, nil)
		}
	})
	for ch := range channels {
		switch {
		case ch.ChannelType() == s.refuse:
			ch.Reject(ssh.Prohibited, "not here")
		case ch.ChannelType() == "session":
			channel, requests, err := ch.Accept()
			if err == nil {
				s.work.Go(func() { s.session(channel, requests) })
			}
		case ch.ChannelType() == "direct-tcpip":
			s.work.Go(func() { s.forward(ch) })
		default:
			ch.Reject(ssh.UnknownChannelType, "")
		}
	}
}

func (s *sshServer) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	var cmd *exec.Cmd
	ended := make(chan error, 1)
	for {
		select {
		case r, ok := <-requests:
			if !ok {
				if cmd != nil {
					syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
					<-ended
				}
				return
			}
			if r.Type != "exec" || s.refuseRun {
				r.Reply(false, nil)
				continue
			}
			var run struct{ Command string }
			ssh.Unmarshal(r.Payload, &run)
			if s.pretend {
				r.Reply(true, nil)
				continue
			}
			s.mu.Lock()
			s.commands = append(s.commands, run.Command)
			s.mu.Unlock()
			cmd = exec.Command("/bin/sh", "-c", run.Command)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			stdin, _ := cmd.StdinPipe()
			cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
			if err := cmd.Start(); err != nil {
				r.Reply(false, nil)
				return
			}
			r.Reply(true, nil)
			s.work.Go(func() {
				io.Copy(stdin, channel)
				stdin.Close()
			})
			go func() { ended <- cmd.Wait() }()
		case <-ended:
			code := uint32(cmd.ProcessState.ExitCode())
			channel.SendRequest("exit-status", false, ssh.Marshal(&struct{ Code uint32 }{code}))
			cmd = nil
			return
		}
	}
}

func (s *sshServer) forward(ch ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		Originator string
		FromPort   uint32
	}
	ssh.Unmarshal(ch.ExtraData(), &to)
	conn, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		ch.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := ch.Accept()
	if err != nil {
		conn.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	s.work.Go(func() {
		io.Copy(channel, conn)
		channel.CloseWrite()
	})
	io.Copy(conn, channel)
	conn.Close()
	channel.Close()
}

func (s *sshServer) users() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.logins, ",")
}

// method is an SSH method for the server that knows its key and nothing else of
// this machine.
func (s *sshServer) method(t testing.TB) SSH {
	t.Helper()
	known := writeFile(t, filepath.Join(t.TempDir(), "known_hosts"),
		knownHostLine(knownHostName("127.0.0.1", s.port()), s.host.PublicKey(), false), 0o600)
	return SSH{Host: "127.0.0.1", Port: s.port(), User: "me", NoConfig: true, NoAgent: true, KnownHostsFiles: []string{known}}
}

func testPlaces(t testing.TB) sshPlaces {
	return sshPlaces{user: "local", home: t.TempDir(), systemConfig: filepath.Join(t.TempDir(), "ssh_config"), program: "ssh"}
}

func testEnv(line string) *Env {
	return &Env{Line: line, Log: slog.New(slog.DiscardHandler)}
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// checkLeaks fails the test if goroutines or descriptors are left when everything is closed. It
// is called first, so that it runs after the cleanups that come later.
func checkLeaks(t *testing.T) {
	t.Helper()
	starter()     // the thread that starts tools stays
	closedPort(t) // the runtime's own descriptors for polling stay as well
	known := goleak.IgnoreCurrent()
	before := descriptors()
	t.Cleanup(func() {
		goleak.VerifyNone(t, known)
		if after := descriptors(); len(after) > len(before) {
			t.Errorf("descriptors before %v, after %v", before, after)
		}
	})
}

func descriptors() (open []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if name, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil {
			open = append(open, name)
		}
	}
	return open
}

func dialSSH(t testing.TB, s SSH, e *Env) (bootstrap.Carrier, error) {
	t.Helper()
	return s.openFrom(testContext(t), e, testPlaces(t))
}

// mustRun connects, runs a command that reads a line and answers it, and closes.
func mustRun(t testing.TB, s SSH, e *Env) {
	t.Helper()
	if e == nil {
		e = testEnv("")
	}
	e.Line = `read -r x; echo "got $x"`
	c, err := dialSSH(t, s, e)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(c)
	if err != nil || string(out) != "got hello\n" {
		t.Fatalf("read %q, %v (cause %v)", out, err, c.Cause(testContext(t)))
	}
	if err := c.Cause(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

// onlyKey makes the server take one key, by one of the users given or by any.
func onlyKey(key ssh.PublicKey, users ...string) func(*sshServer) {
	return func(s *sshServer) {
		s.config.PublicKeyCallback = func(c ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			if len(users) > 0 && !strings.Contains(strings.Join(users, ","), c.User()) {
				return nil, fmt.Errorf("wrong user")
			}
			if !bytes.Equal(k.Marshal(), key.Marshal()) {
				return nil, fmt.Errorf("wrong key")
			}
			return nil, nil
		}
	}
}

func onlyPassword(password string) func(*sshServer) {
	return func(s *sshServer) {
		s.config.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			if string(p) != password {
				return nil, fmt.Errorf("wrong password")
			}
			return nil, nil
		}
	}
}
