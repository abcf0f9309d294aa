package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os/exec"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// server is a small SSH server on loopback, so that this example needs no sshd. It accepts the
// throw-away key that it has made, and runs commands with /bin/sh.
type server struct {
	Port      int
	ClientKey []byte // PEM, for the client
	KnownHost string // the line that a known_hosts file would have

	ln   net.Listener
	conf *ssh.ServerConfig
	wg   sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// startServer starts a server. Close ends it and all its sessions.
func startServer() (*server, error) {
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	hostSigner, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		return nil, err
	}
	clientPub, clientKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(clientKey, "quickstart")
	if err != nil {
		return nil, err
	}
	allowed, err := ssh.NewPublicKey(clientPub)
	if err != nil {
		return nil, err
	}
	conf := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if string(key.Marshal()) != string(allowed.Marshal()) {
				return nil, errors.New("unknown key")
			}
			return nil, nil
		},
	}
	conf.AddHostKey(hostSigner)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{
		Port:      ln.Addr().(*net.TCPAddr).Port,
		ClientKey: pem.EncodeToMemory(block),
		KnownHost: knownhosts.Line([]string{ln.Addr().String()}, hostSigner.PublicKey()) + "\n",
		ln:        ln, conf: conf, conns: make(map[net.Conn]bool),
	}
	s.wg.Go(s.accept)
	return s, nil
}

// Close ends the server and waits for its sessions.
func (s *server) Close() {
	s.ln.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *server) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			s.serve(conn)
			conn.Close()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

func (s *server) serve(conn net.Conn) {
	_, channels, requests, err := ssh.NewServerConn(conn, s.conf)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" {
			c.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		ch, requests, err := c.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { session(ch, requests) })
	}
}

// session runs the one command of a session.
func session(ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	for r := range requests {
		var run struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &run) != nil {
			r.Reply(false, nil)
			continue
		}
		r.Reply(true, nil)
		cmd := exec.Command("/bin/sh", "-c", run.Command)
		cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
		stdin, err := cmd.StdinPipe()
		if err != nil || cmd.Start() != nil {
			return
		}
		go func() {
			io.Copy(stdin, ch)
			stdin.Close()
		}()
		go ssh.DiscardRequests(requests)
		status := struct{ Status uint32 }{}
		if cmd.Wait() != nil {
			status.Status = uint32(cmd.ProcessState.ExitCode())
		}
		ch.SendRequest("exit-status", false, ssh.Marshal(&status))
		return
	}
}
