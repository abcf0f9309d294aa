//go:build unix

// Package sshtest has an SSH server for tests, on loopback and inside the process.
package sshtest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
)

// Server is an SSH server of the test's own: it runs commands by /bin/sh,
// forwards connections, and takes whom its config takes.
type Server struct {
	Config *ssh.ServerConfig
	Host   ssh.Signer
	ln     net.Listener

	Mu       sync.Mutex
	conns    map[net.Conn]bool
	Commands []string
	logins   []string // user names of the connections that were let in
	Asked    int      // keepalive requests
	work     sync.WaitGroup

	// Set before the first connection.
	OnConn    func(net.Conn) net.Conn // may wrap, or take over and return nil
	Refuse    string                  // channel type that is refused
	RefuseRun bool                    // exec requests are refused
	Pretend   bool                    // a command is accepted, and nothing is run
}

// NewKey makes a key pair.
func NewKey(t testing.TB) (ssh.Signer, ed25519.PrivateKey) {
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

// PEMKey is a private key as a file has it, encrypted where there is a passphrase.
func PEMKey(t testing.TB, private any, passphrase string) string {
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

// Start listens on loopback. setup may be nil: then anybody may enter.
func Start(t testing.TB, setup func(*Server)) *Server {
	t.Helper()
	s := NewServer(t, setup)
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
			s.work.Go(func() { s.Serve(conn) })
		}
	})
	t.Cleanup(s.Stop)
	return s
}

// NewServer is Start without a listener.
func NewServer(t testing.TB, setup func(*Server)) *Server {
	host, _ := NewKey(t)
	s := &Server{Config: &ssh.ServerConfig{MaxAuthTries: 6}, Host: host, conns: map[net.Conn]bool{}}
	if setup != nil {
		setup(s)
	}
	c := s.Config
	if c.PasswordCallback == nil && c.PublicKeyCallback == nil && c.KeyboardInteractiveCallback == nil {
		c.NoClientAuth = true
	}
	c.AddHostKey(s.Host)
	return s
}

// Stop ends all connections and waits for them.
func (s *Server) Stop() {
	if s.ln != nil {
		s.ln.Close()
	}
	s.Mu.Lock()
	for conn := range s.conns {
		conn.Close()
	}
	s.Mu.Unlock()
	s.work.Wait()
}

// Port is the port of loopback that it listens at.
func (s *Server) Port() int { return s.ln.Addr().(*net.TCPAddr).Port }

// Serve serves one connection until it ends.
func (s *Server) Serve(conn net.Conn) {
	if s.OnConn != nil {
		if conn = s.OnConn(conn); conn == nil {
			return
		}
	}
	s.Mu.Lock()
	s.conns[conn] = true
	s.Mu.Unlock()
	defer func() {
		conn.Close()
		s.Mu.Lock()
		delete(s.conns, conn)
		s.Mu.Unlock()
	}()
	server, channels, requests, err := ssh.NewServerConn(conn, s.Config)
	if err != nil {
		return
	}
	s.Mu.Lock()
	s.logins = append(s.logins, server.User())
	s.Mu.Unlock()
	s.work.Go(func() {
		for r := range requests {
			s.Mu.Lock()
			s.Asked++
			s.Mu.Unlock()
			r.Reply(false, nil)
		}
	})
	for ch := range channels {
		switch {
		case ch.ChannelType() == s.Refuse:
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

func (s *Server) session(channel ssh.Channel, requests <-chan *ssh.Request) {
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
			if r.Type != "exec" || s.RefuseRun {
				r.Reply(false, nil)
				continue
			}
			var run struct{ Command string }
			ssh.Unmarshal(r.Payload, &run)
			if s.Pretend {
				r.Reply(true, nil)
				continue
			}
			s.Mu.Lock()
			s.Commands = append(s.Commands, run.Command)
			s.Mu.Unlock()
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

func (s *Server) forward(ch ssh.NewChannel) {
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

// Users are the users that were let in, in their order.
func (s *Server) Users() string {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return strings.Join(s.logins, ",")
}

// OnlyKey makes the server take one key, by one of the users given or by any.
func OnlyKey(key ssh.PublicKey, users ...string) func(*Server) {
	return func(s *Server) {
		s.Config.PublicKeyCallback = func(c ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
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

// OnlyPassword makes the server take one password of any user.
func OnlyPassword(password string) func(*Server) {
	return func(s *Server) {
		s.Config.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			if string(p) != password {
				return nil, fmt.Errorf("wrong password")
			}
			return nil, nil
		}
	}
}

// KnownHosts makes a file that has the server's key.
func (s *Server) KnownHosts(t testing.TB) string {
	t.Helper()
	return connecttest.WriteFile(t, filepath.Join(t.TempDir(), "known_hosts"), HostLine("127.0.0.1", s.Port(), s.Host.PublicKey()), 0o600)
}

// HostLine is a line of known_hosts.
func HostLine(host string, port int, key ssh.PublicKey) string {
	return fmt.Sprintf("[%s]:%d %s", host, port, ssh.MarshalAuthorizedKey(key))
}
