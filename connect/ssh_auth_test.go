//go:build unix

package connect

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func TestSSHWithoutAuthentication(t *testing.T) {
	checkLeaks(t)
	mustRun(t, startServer(t, nil).method(t), nil)
}

func TestSSHPassword(t *testing.T) {
	checkLeaks(t)
	server := startServer(t, onlyPassword("tiger"))
	s := server.method(t)

	t.Run("given", func(t *testing.T) {
		s := s
		s.Password = "tiger"
		mustRun(t, s, nil)
	})
	t.Run("wrong", func(t *testing.T) {
		s := s
		s.Password = "lion"
		_, err := dialSSH(t, s, testEnv("true"))
		if !errors.Is(err, ErrPassword) || strings.Contains(err.Error(), "lion") {
			t.Fatal(err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		_, err := dialSSH(t, s, testEnv("true"))
		if !errors.Is(err, ErrPasswordRequired) {
			t.Fatal(err)
		}
	})
	t.Run("asked", func(t *testing.T) {
		e := testEnv("")
		var prompts []Prompt
		e.Prompt = func(_ context.Context, p Prompt) (string, error) {
			prompts = append(prompts, p)
			return []string{"lion", "tiger"}[len(prompts)-1], nil
		}
		mustRun(t, s, e)
		if len(prompts) != 2 || prompts[0].Kind != PromptPassword || prompts[0].Echo || prompts[1].Attempt != 2 {
			t.Fatalf("%+v", prompts)
		}
	})
	t.Run("asked three times", func(t *testing.T) {
		e := testEnv("true")
		n := 0
		e.Prompt = func(context.Context, Prompt) (string, error) { n++; return "lion", nil }
		_, err := dialSSH(t, s, e)
		if !errors.Is(err, ErrPassword) || n != 3 {
			t.Fatal(n, err)
		}
	})
	t.Run("person says no", func(t *testing.T) {
		no := errors.New("no")
		e := testEnv("true")
		e.Prompt = func(context.Context, Prompt) (string, error) { return "", no }
		if _, err := dialSSH(t, s, e); !errors.Is(err, no) {
			t.Fatal(err)
		}
	})
}

func TestSSHKeyboardInteractive(t *testing.T) {
	checkLeaks(t)
	questions := func(want ...string) func(*sshServer) {
		return func(s *sshServer) {
			s.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
				for i := 0; i+1 < len(want); i += 2 {
					answers, err := ask("", "", []string{want[i]}, []bool{false})
					if err != nil {
						return nil, err
					}
					if answers[0] != want[i+1] {
						return nil, errors.New("wrong")
					}
				}
				return nil, nil
			}
		}
	}
	t.Run("password", func(t *testing.T) {
		s := startServer(t, questions("Password: ", "tiger")).method(t)
		s.Password = "tiger"
		mustRun(t, s, nil)
		s.Password = "lion"
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, ErrPassword) {
			t.Fatal(err)
		}
		s.Password = ""
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, ErrPasswordRequired) {
			t.Fatal(err)
		}
	})
	t.Run("password in words unknown to us", func(t *testing.T) {
		s := startServer(t, questions("Pasahitza: ", "tiger")).method(t)
		s.Password = "tiger"
		mustRun(t, s, nil)
	})
	t.Run("password and code", func(t *testing.T) {
		s := startServer(t, questions("Verification code:", "123456", "Password:", "tiger")).method(t)
		s.Password = "tiger"
		e := testEnv("")
		e.Prompt = func(_ context.Context, p Prompt) (string, error) {
			if p.Kind != PromptOther || p.Text != "Verification code:" {
				return "", fmt.Errorf("asked %+v", p)
			}
			return "123456", nil
		}
		mustRun(t, s, e)
	})
	t.Run("a terminal's control characters are taken out", func(t *testing.T) {
		s := startServer(t, questions("Code\x1b[2J:", "1")).method(t)
		e := testEnv("")
		e.Prompt = func(_ context.Context, p Prompt) (string, error) {
			if strings.ContainsRune(p.Text, 0x1b) {
				t.Errorf("asked %q", p.Text)
			}
			return "1", nil
		}
		mustRun(t, s, e)
	})
}

func TestSSHKeys(t *testing.T) {
	checkLeaks(t)
	signer, private := newKey(t)
	server := startServer(t, onlyKey(signer.PublicKey()))
	s := server.method(t)
	dir := t.TempDir()
	plain := writeFile(t, filepath.Join(dir, "plain"), pemKey(t, private, ""), 0o600)
	locked := writeFile(t, filepath.Join(dir, "locked"), pemKey(t, private, "tiger"), 0o600)
	_, strange := newKey(t)
	other := writeFile(t, filepath.Join(dir, "other"), pemKey(t, strange, ""), 0o600)
	otherLocked := writeFile(t, filepath.Join(dir, "otherlocked"), pemKey(t, strange, "tiger"), 0o600)

	t.Run("file", func(t *testing.T) {
		s := s
		s.IdentityFiles = []string{other, plain}
		mustRun(t, s, nil)
	})
	t.Run("inline", func(t *testing.T) {
		s := s
		s.Keys = []Secret{Secret(pemKey(t, private, ""))}
		mustRun(t, s, nil)
	})
	t.Run("usual file", func(t *testing.T) {
		places := testPlaces(t)
		os.Mkdir(filepath.Join(places.home, ".ssh"), 0o700)
		writeFile(t, filepath.Join(places.home, ".ssh", "id_ed25519"), pemKey(t, private, ""), 0o600)
		c, err := s.openFrom(testContext(t), testEnv("true"), places)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
	t.Run("encrypted", func(t *testing.T) {
		s := s
		s.IdentityFiles, s.Passphrase = []string{locked}, "tiger"
		mustRun(t, s, nil)
	})
	t.Run("encrypted, asked", func(t *testing.T) {
		s := s
		s.IdentityFiles = []string{otherLocked, locked}
		e := testEnv("")
		n := 0
		e.Prompt = func(_ context.Context, p Prompt) (string, error) {
			if n++; p.Kind != PromptPassphrase || !strings.Contains(p.Text, locked) || p.Attempt != n {
				t.Errorf("asked %+v", p)
			}
			return []string{"lion", "tiger"}[n-1], nil
		}
		mustRun(t, s, e)
		if n != 2 {
			t.Fatal(n)
		}
	})
	t.Run("encrypted, wrong passphrase", func(t *testing.T) {
		s := s
		s.IdentityFiles, s.Passphrase = []string{locked}, "lion"
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, ErrPassword) {
			t.Fatal(err)
		}
	})
	t.Run("encrypted, no passphrase", func(t *testing.T) {
		s := s
		s.IdentityFiles = []string{locked}
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, ErrPasswordRequired) {
			t.Fatal(err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		s := s
		s.IdentityFiles = []string{other, filepath.Join(dir, "missing")}
		_, err := dialSSH(t, s, testEnv("true"))
		if !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), other+" (refused)") || !strings.Contains(err.Error(), "missing") {
			t.Fatal(err)
		}
	})
	t.Run("readable by others", func(t *testing.T) {
		s := s
		s.IdentityFiles = []string{writeFile(t, filepath.Join(dir, "open"), pemKey(t, private, ""), 0o644)}
		os.Chmod(s.IdentityFiles[0], 0o644)
		_, err := dialSSH(t, s, testEnv("true"))
		if !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "others can read it") {
			t.Fatal(err)
		}
	})
	t.Run("more than the server listens to", func(t *testing.T) {
		s := s
		for range 14 {
			_, k := newKey(t)
			s.Keys = append(s.Keys, Secret(pemKey(t, k, "")))
		}
		s.Keys = append(s.Keys, Secret(pemKey(t, private, "")))
		mustRun(t, s, nil)
	})
}

func TestSSHRSAKeySignsWithSHA2(t *testing.T) {
	checkLeaks(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, _ := ssh.NewSignerFromKey(private)
	server := startServer(t, func(s *sshServer) {
		onlyKey(signer.PublicKey())(s)
		s.config.PublicKeyAuthAlgorithms = []string{ssh.KeyAlgoRSASHA512}
	})
	for _, passphrase := range []string{"", "tiger"} {
		s := server.method(t)
		s.Keys, s.Passphrase = []Secret{Secret(pemKey(t, private, passphrase))}, Secret(passphrase)
		mustRun(t, s, nil)
	}
}

func TestSSHAgent(t *testing.T) {
	checkLeaks(t)
	signer, private := newKey(t)
	server := startServer(t, onlyKey(signer.PublicKey()))
	ring := agent.NewKeyring()
	for range 8 {
		_, k := newKey(t)
		ring.Add(agent.AddedKey{PrivateKey: k, Comment: "stranger"})
	}
	ring.Add(agent.AddedKey{PrivateKey: private, Comment: "mine"})
	s := server.method(t)
	s.NoAgent = false
	s.AgentSocket = startAgent(t, ring)

	t.Run("last of many", func(t *testing.T) { mustRun(t, s, nil) })
	t.Run("named by its public half", func(t *testing.T) {
		s := s
		name := filepath.Join(t.TempDir(), "mine")
		writeFile(t, name+".pub", string(ssh.MarshalAuthorizedKey(signer.PublicKey())), 0o644)
		s.IdentityFiles, s.IdentitiesOnly = []string{name}, true
		mustRun(t, s, nil)
	})
	t.Run("restricted to others", func(t *testing.T) {
		s := s
		s.IdentitiesOnly = true
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, ErrPermission) {
			t.Fatal(err)
		}
	})
	t.Run("gone", func(t *testing.T) {
		s := s
		s.AgentSocket = filepath.Join(t.TempDir(), "none")
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "agent: ") {
			t.Fatal(err)
		}
	})
	t.Run("silent", func(t *testing.T) {
		ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "agent"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		s := s
		s.AgentSocket = ln.Addr().String()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			conn.Read(make([]byte, 1))
			cancel()
			conn.Read(make([]byte, 64))
		}()
		if _, err := s.openFrom(ctx, testEnv("true"), testPlaces(t)); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

func startAgent(t *testing.T, ring agent.Agent) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				agent.ServeAgent(ring, conn)
				conn.Close()
			}()
		}
	}()
	return path
}

func TestSSHCertificate(t *testing.T) {
	checkLeaks(t)
	authority, _ := newKey(t)
	signer, private := newKey(t)
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, KeyId: "me at work",
		ValidPrincipals: []string{"me"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	server := startServer(t, func(s *sshServer) {
		checker := &ssh.CertChecker{IsUserAuthority: func(k ssh.PublicKey) bool {
			return string(k.Marshal()) == string(authority.PublicKey().Marshal())
		}}
		s.config.PublicKeyCallback = checker.Authenticate
	})
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(cert)))

	t.Run("beside the key", func(t *testing.T) {
		s := server.method(t)
		name := writeFile(t, filepath.Join(t.TempDir(), "id"), pemKey(t, private, ""), 0o600)
		writeFile(t, name+"-cert.pub", line+"\n", 0o644)
		s.IdentityFiles = []string{name}
		mustRun(t, s, nil)
	})
	t.Run("inline, with an encrypted key", func(t *testing.T) {
		s := server.method(t)
		s.Keys, s.Passphrase, s.Certificates = []Secret{Secret(pemKey(t, private, "tiger"))}, "tiger", []string{line}
		mustRun(t, s, nil)
	})
	t.Run("with the agent's key", func(t *testing.T) {
		ring := agent.NewKeyring()
		ring.Add(agent.AddedKey{PrivateKey: private})
		s := server.method(t)
		s.NoAgent, s.AgentSocket, s.Certificates = false, startAgent(t, ring), []string{line}
		mustRun(t, s, nil)
	})
	t.Run("without its key", func(t *testing.T) {
		s := server.method(t)
		s.Certificates = []string{line}
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "not at hand") {
			t.Fatal(err)
		}
	})
}

func TestSSHTwoFactors(t *testing.T) {
	checkLeaks(t)
	signer, private := newKey(t)
	server := startServer(t, func(s *sshServer) {
		s.config.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			if string(k.Marshal()) != string(signer.PublicKey().Marshal()) {
				return nil, errors.New("wrong key")
			}
			return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{
				PasswordCallback: func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
					if string(p) != "tiger" {
						return nil, errors.New("wrong password")
					}
					return nil, nil
				}}}
		}
	})
	s := server.method(t)
	s.Keys = []Secret{Secret(pemKey(t, private, ""))}
	if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, ErrPasswordRequired) {
		t.Fatal(err)
	}
	s.Password = "tiger"
	mustRun(t, s, nil)
	s.Password = "lion"
	if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, ErrPassword) {
		t.Fatal(err)
	}
}
