//go:build linux

package integration

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// An sshStage has a server and a client host. A context on the client makes the hops, by our own
// ssh client and by the ssh program.
type sshStage struct {
	server, client *lab.Running
	passphrase     string
	key            lab.ClientKey // a key that the server accepts
}

// Files of the client host.
const (
	fileKey       = "/home/me/key"     // accepted
	fileEncrypted = "/home/me/locked"  // accepted, needs a passphrase
	fileStranger  = "/home/me/strange" // not accepted
	knownRight    = "/home/me/known_right"
	knownNone     = "/home/me/known_none"
	knownChanged  = "/home/me/known_changed"
	agentSocket   = "/home/me/agent.sock"
)

// banner is shown before authentication. It looks like a question for a password.
const banner = "Authorised use only.\nalice's password:\npassword: "

func newSSHStage(t *testing.T, config ...string) *sshStage {
	t.Helper()
	lab.Require(t)
	s := &sshStage{passphrase: "passphrase-" + rand.Text(), key: lab.NewClientKey(t)}
	locked, authorized := encryptedKey(t, s.passphrase)
	s.server = start(t, lab.Host{
		Users: []lab.User{{Name: "alice", Password: rightPassword, Keys: []string{s.key.Authorized, authorized}}},
		SSHD:  &lab.SSHD{Config: append([]string{"Banner /etc/banner"}, config...)},
		Files: map[string]string{"/etc/banner": banner},
	})
	other, err := cryptossh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	s.client = start(t, lab.Host{
		Users: []lab.User{{Name: "me"}},
		Files: map[string]string{
			fileKey: s.key.Private, fileEncrypted: locked, fileStranger: lab.NewClientKey(t).Private,
			knownRight: s.server.KnownHosts(), knownNone: "",
			knownChanged: s.server.IP() + " " + string(cryptossh.MarshalAuthorizedKey(other)),
		},
	})
	return s
}

// encryptedKey makes a private key that needs a passphrase.
func encryptedKey(t *testing.T, passphrase string) (private, authorized string) {
	t.Helper()
	public, secret, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := cryptossh.MarshalPrivateKeyWithPassphrase(secret, "locked", []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	p, err := cryptossh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), string(cryptossh.MarshalAuthorizedKey(p))
}

// startAgent runs an ssh-agent at a client. The agent holds a key that needs a passphrase.
func startAgent(t *testing.T, client *lab.Running, passphrase, file string) {
	t.Helper()
	agent := client.CommandAs(t.Context(), "me", "ssh-agent", "-D", "-a", agentSocket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the agent listens", func() bool {
		_, err := client.Exec(t.Context(), "test", "-S", agentSocket)
		return err == nil
	})
	script := fmt.Sprintf(`cd; umask 077; printf '#!/bin/sh\necho %s\n' > ask; chmod +x ask
SSH_AUTH_SOCK=%s SSH_ASKPASS=$HOME/ask SSH_ASKPASS_REQUIRE=force ssh-add %s </dev/null; r=$?; rm ask; exit $r`, passphrase, agentSocket, file)
	if out, err := client.ExecAs(t.Context(), "me", "sh", "-c", script); err != nil {
		t.Fatalf("adding the key to the agent: %v, want no error: %s", err, out)
	}
}

// An sshHop has the options that both clients have.
type sshHop struct {
	user       string // alice if empty
	port       int    // of the server if 0
	password   string
	key        string // file
	passphrase string
	agent      bool
	known      string // file; knownRight if empty
	policy     connect.HostKeyPolicy
}

func (s *sshStage) native(t *testing.T, h sshHop) connect.Method {
	m := ssh.Login{
		Host: s.server.IP(), Port: h.port, User: h.user, NoConfig: true, NoAgent: !h.agent, IdentitiesOnly: !h.agent,
		Password: connect.Secret(h.password), Passphrase: connect.Secret(h.passphrase),
		KnownHostsFiles: []string{h.known}, HostKeys: h.policy,
	}
	if h.key != "" {
		m.IdentityFiles = []string{h.key}
	}
	if h.agent {
		m.AgentSocket = agentSocket
	}
	return m
}

func (s *sshStage) program(t *testing.T, h sshHop) connect.Method {
	m := openssh.Login{
		Host: s.server.IP(), Port: h.port, User: h.user, ConfigFile: "none", IdentitiesOnly: !h.agent,
		Password: connect.Secret(h.password), Passphrase: connect.Secret(h.passphrase),
		KnownHostsFiles: []string{h.known}, HostKeys: h.policy,
	}
	if h.key != "" {
		m.IdentityFiles = []string{h.key}
	}
	if h.agent {
		m.Options = []string{"IdentityAgent=" + agentSocket}
	}
	return m
}

// withDefaults fills in the server of the stage.
func (h sshHop) withDefaults(t *testing.T, s *sshStage) sshHop {
	if h.user == "" {
		h.user = "alice"
	}
	if h.port == 0 {
		h.port = port(t, s.server)
	}
	if h.known == "" {
		h.known = knownRight
	}
	return h
}

// sshClients are the two ways to make the same hop.
var sshClients = []struct {
	name string
	hop  func(*sshStage, *testing.T, sshHop) connect.Method
}{
	{"native", (*sshStage).native},
	{"program", (*sshStage).program},
}

func TestSSHLogin(t *testing.T) {
	t.Parallel()
	s := newSSHStage(t)
	startAgent(t, s.client, s.passphrase, fileEncrypted)
	cases := []struct {
		name   string
		hop    sshHop
		reason error  // class of the error wanted; nil if the hop must work
		text   string // text that the error must have
	}{
		{"password", sshHop{password: rightPassword}, nil, ""},
		{"wrong password", sshHop{password: wrongPassword}, connect.ErrPassword, ""},
		{"no password", sshHop{}, connect.ErrPasswordRequired, ""},
		{"key", sshHop{key: fileKey}, nil, ""},
		{"key with passphrase", sshHop{key: fileEncrypted, passphrase: s.passphrase}, nil, ""},
		{"key in the agent", sshHop{agent: true}, nil, ""},
		{"unknown user, password", sshHop{user: "mallory", password: rightPassword}, connect.ErrPassword, ""},
		{"host key unknown", sshHop{key: fileKey, known: knownNone}, connect.ErrHostKeyUnknown, ""},
		{"host key changed", sshHop{key: fileKey, known: knownChanged}, connect.ErrHostKeyChanged, ""},
		{"host key changed, accept-new", sshHop{key: fileKey, known: knownChanged, policy: connect.HostKeysAcceptNew}, connect.ErrHostKeyChanged, ""},
		{"host key changed, ignored", sshHop{key: fileKey, known: knownChanged, policy: connect.InsecureIgnoreHostKeys}, nil, ""},
		{"port closed", sshHop{key: fileKey, port: 1}, connect.ErrRefused, ""},
	}
	for _, client := range sshClients {
		for _, c := range cases {
			t.Run(client.name+"/"+c.name, func(t *testing.T) {
				log, logged := newJournal(t)
				me := enter(t, master(t, &contexts.Config{Log: log}), s.client, "me")
				w := watchFor(t, s.client, rightPassword, wrongPassword, s.passphrase)
				hop := client.hop(s, t, c.hop.withDefaults(t, s))
				var text string
				if c.reason == nil {
					if id := who(t, child(t, me, hop)); id.Host != s.server.Name() || id.UID == 0 {
						t.Errorf("the context is %+v, want a user's on %s", id, s.server.Name())
					}
				} else {
					err := refused(t, me, hop, c.reason, 8*time.Second)
					if text = err.Error(); !strings.Contains(text, c.text) || !strings.Contains(text, hop.Label()) {
						t.Errorf("the error is %q, want %q and the hop %q in it", text, c.text, hop.Label())
					}
					if hostKey := errors.Is(c.reason, connect.ErrHostKey); hostKey != errors.Is(err, connect.ErrHostKey) {
						t.Errorf("the error is %v, want it of the class ErrHostKey: %v", err, hostKey)
					}
					who(t, me)
				}
				w.end(t)
				for _, secret := range []string{rightPassword, wrongPassword, s.passphrase} {
					withholds(t, secret, logged.String(), text, fmt.Sprintf("%v %+v %#v", hop, hop, hop))
				}
			})
		}
	}
}

// A server that accepts only keys denies a key that it does not know, and all keys of a user that
// does not exist. (If it accepted passwords as well, the error would say that the hop lacks one.)
func TestSSHDeniedKey(t *testing.T) {
	t.Parallel()
	s := newSSHStage(t, "PasswordAuthentication no", "KbdInteractiveAuthentication no")
	for _, client := range sshClients {
		t.Run(client.name, func(t *testing.T) {
			me := enter(t, master(t, nil), s.client, "me")
			for _, h := range []sshHop{{key: fileStranger}, {user: "mallory", key: fileKey}} {
				hop := client.hop(s, t, h.withDefaults(t, s))
				if err := refused(t, me, hop, connect.ErrPermission, 8*time.Second); !strings.Contains(err.Error(), "publickey") {
					t.Errorf("the error is %v, want it to name publickey, the method that was tried", err)
				}
			}
			who(t, child(t, me, client.hop(s, t, sshHop{key: fileKey}.withDefaults(t, s))))
		})
	}
}

// With accept-new the key of an unknown host is added to known_hosts, and the host must have that
// key from then on.
func TestSSHAcceptNew(t *testing.T) {
	t.Parallel()
	for _, client := range sshClients {
		t.Run(client.name, func(t *testing.T) {
			s := newSSHStage(t)
			me := enter(t, master(t, nil), s.client, "me")
			h := sshHop{key: fileKey, known: knownNone}.withDefaults(t, s)
			refused(t, me, client.hop(s, t, h), connect.ErrHostKeyUnknown, 8*time.Second)
			if known := fileAt(t, me, knownNone); known != "" {
				t.Errorf("after the refusal known_hosts has %q, want it empty", known)
			}
			h.policy = connect.HostKeysAcceptNew
			who(t, child(t, me, client.hop(s, t, h)))
			wanted := strings.TrimSpace(string(cryptossh.MarshalAuthorizedKey(s.server.HostKeys()[0])))
			if known := fileAt(t, me, knownNone); strings.Count(known, wanted) != 1 {
				t.Errorf("known_hosts has %q, want the key %q in it once", known, wanted)
			}
			h.policy = connect.HostKeysStrict
			who(t, child(t, me, client.hop(s, t, h)))
		})
	}
}

func fileAt(t *testing.T, n *contexts.Node, path string) string {
	t.Helper()
	s, err := readFile.Call(t.Context(), n, path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// If sshd leaves the password to PAM, the question for it is one of several that PAM might ask.
func TestSSHKeyboardInteractive(t *testing.T) {
	t.Parallel()
	s := newSSHStage(t, "KbdInteractiveAuthentication yes", "PasswordAuthentication no")
	for _, client := range sshClients {
		t.Run(client.name, func(t *testing.T) {
			me := enter(t, master(t, nil), s.client, "me")
			h := sshHop{password: rightPassword}.withDefaults(t, s)
			who(t, child(t, me, client.hop(s, t, h)))
			h.password = wrongPassword
			refused(t, me, client.hop(s, t, h), connect.ErrPassword, 8*time.Second)
		})
	}
}

// The master is asked the questions of a hop further down.
func TestSSHPromptsAtTheMaster(t *testing.T) {
	t.Parallel()
	s := newSSHStage(t)
	for _, client := range sshClients {
		for _, c := range []struct {
			name    string
			hop     sshHop
			answers []string
			kind    connect.PromptKind
			reason  error
		}{
			{"password", sshHop{}, []string{rightPassword}, connect.PromptPassword, nil},
			{"password after a mistake", sshHop{}, []string{wrongPassword, rightPassword}, connect.PromptPassword, nil},
			{"passphrase", sshHop{key: fileEncrypted}, []string{s.passphrase}, connect.PromptPassphrase, nil},
		} {
			t.Run(client.name+"/"+c.name, func(t *testing.T) {
				p := &person{answers: c.answers}
				me := enter(t, master(t, &contexts.Config{Prompt: p.prompt}), s.client, "me")
				hop := client.hop(s, t, c.hop.withDefaults(t, s))
				who(t, child(t, me, hop))
				p.mu.Lock()
				defer p.mu.Unlock()
				if len(p.asked) != len(c.answers) {
					t.Fatalf("the person was asked %d times, want %d: %+v", len(p.asked), len(c.answers), p.asked)
				}
				for i, q := range p.asked {
					if q.Path != me.String()+"/"+hop.Label() || q.Kind != c.kind || q.Attempt != i+1 || q.Echo {
						t.Errorf("question %d is %+v, want attempt %d of kind %v for the hop's path, without echo", i+1, q, i+1, c.kind)
					}
				}
			})
		}
	}
}

// If a server accepts the connection and then sends nothing, the caller's deadline ends the wait.
// The error names the phase.
func TestSSHSilentServer(t *testing.T) {
	t.Parallel()
	s := newSSHStage(t)
	listener, err := lab.Listen("tcp", lab.StationIP+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	_, p, _ := strings.Cut(listener.Addr().String(), ":")
	for _, client := range sshClients {
		t.Run(client.name, func(t *testing.T) {
			me := enter(t, master(t, nil), s.client, "me")
			before := look(s.client)
			h := sshHop{key: fileKey}.withDefaults(t, s)
			var n int
			if _, err := fmt.Sscan(p, &n); err != nil {
				t.Fatal(err)
			}
			h.port = n
			var hop connect.Method
			switch m := client.hop(s, t, h).(type) {
			case ssh.Login:
				m.Host = lab.StationIP
				hop = m
			case openssh.Login:
				m.Host = lab.StationIP
				hop = m
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := me.Connect(ctx, hop)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the connect to a silent server ended with %v, want %v", err, context.DeadlineExceeded)
			}
			if took := time.Since(start); took > stretched(soon) {
				t.Errorf("a connect with a deadline of 500 ms took %v, want at most %v", took, soon)
			}
			before.restored(t, 5*time.Second)
			who(t, me)
		})
	}
}
