//go:build unix

package ssh

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

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

func TestSSHWithoutAuthentication(t *testing.T) {
	connecttest.CheckLeaks(t)
	mustRun(t, methodFor(t, sshtest.Start(t, nil)), nil)
}

func TestSSHPassword(t *testing.T) {
	connecttest.CheckLeaks(t)
	server := sshtest.Start(t, sshtest.OnlyPassword("tiger"))
	s := methodFor(t, server)

	t.Run("given", func(t *testing.T) {
		s := s
		s.Password = "tiger"
		mustRun(t, s, nil)
	})
	t.Run("wrong", func(t *testing.T) {
		s := s
		s.Password = "lion"
		_, err := dialSSH(t, s, testEnv("true"))
		if !errors.Is(err, connect.ErrPassword) || strings.Contains(err.Error(), "lion") {
			t.Fatal(err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		_, err := dialSSH(t, s, testEnv("true"))
		if !errors.Is(err, connect.ErrPasswordRequired) {
			t.Fatal(err)
		}
	})
	t.Run("asked", func(t *testing.T) {
		e := testEnv("")
		var prompts []connect.Prompt
		e.Prompt = func(_ context.Context, p connect.Prompt) (string, error) {
			prompts = append(prompts, p)
			return []string{"lion", "tiger"}[len(prompts)-1], nil
		}
		mustRun(t, s, e)
		if len(prompts) != 2 || prompts[0].Kind != connect.PromptPassword || prompts[0].Echo || prompts[1].Attempt != 2 {
			t.Fatalf("asked %+v, want the password twice, the second time as attempt 2", prompts)
		}
	})
	t.Run("asked three times", func(t *testing.T) {
		e := testEnv("true")
		n := 0
		e.Prompt = func(context.Context, connect.Prompt) (string, error) { n++; return "lion", nil }
		_, err := dialSSH(t, s, e)
		if !errors.Is(err, connect.ErrPassword) || n != 3 {
			t.Fatal(n, err)
		}
	})
	t.Run("person says no", func(t *testing.T) {
		no := errors.New("no")
		e := testEnv("true")
		e.Prompt = func(context.Context, connect.Prompt) (string, error) { return "", no }
		if _, err := dialSSH(t, s, e); !errors.Is(err, no) {
			t.Fatal(err)
		}
	})
}

func TestSSHKeyboardInteractive(t *testing.T) {
	connecttest.CheckLeaks(t)
	questions := func(want ...string) func(*sshtest.Server) {
		return func(s *sshtest.Server) {
			s.Config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
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
		s := methodFor(t, sshtest.Start(t, questions("Password: ", "tiger")))
		s.Password = "tiger"
		mustRun(t, s, nil)
		s.Password = "lion"
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrPassword) {
			t.Fatal(err)
		}
		s.Password = ""
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrPasswordRequired) {
			t.Fatal(err)
		}
	})
	t.Run("password in words unknown to us", func(t *testing.T) {
		s := methodFor(t, sshtest.Start(t, questions("Pasahitza: ", "tiger")))
		s.Password = "tiger"
		mustRun(t, s, nil)
	})
	t.Run("password and code", func(t *testing.T) {
		s := methodFor(t, sshtest.Start(t, questions("Verification code:", "123456", "Password:", "tiger")))
		s.Password = "tiger"
		e := testEnv("")
		e.Prompt = func(_ context.Context, p connect.Prompt) (string, error) {
			if p.Kind != connect.PromptOther || p.Text != "Verification code:" {
				return "", fmt.Errorf("asked %+v", p)
			}
			return "123456", nil
		}
		mustRun(t, s, e)
	})
	t.Run("a terminal's control characters are taken out", func(t *testing.T) {
		s := methodFor(t, sshtest.Start(t, questions("Code\x1b[2J:", "1")))
		e := testEnv("")
		e.Prompt = func(_ context.Context, p connect.Prompt) (string, error) {
			if strings.ContainsRune(p.Text, 0x1b) {
				t.Errorf("asked %q", p.Text)
			}
			return "1", nil
		}
		mustRun(t, s, e)
	})
}

func TestSSHKeys(t *testing.T) {
	connecttest.CheckLeaks(t)
	signer, private := sshtest.NewKey(t)
	server := sshtest.Start(t, sshtest.OnlyKey(signer.PublicKey()))
	s := methodFor(t, server)
	dir := t.TempDir()
	plain := connecttest.WriteFile(t, filepath.Join(dir, "plain"), sshtest.PEMKey(t, private, ""), 0o600)
	locked := connecttest.WriteFile(t, filepath.Join(dir, "locked"), sshtest.PEMKey(t, private, "tiger"), 0o600)
	_, strange := sshtest.NewKey(t)
	other := connecttest.WriteFile(t, filepath.Join(dir, "other"), sshtest.PEMKey(t, strange, ""), 0o600)
	otherLocked := connecttest.WriteFile(t, filepath.Join(dir, "otherlocked"), sshtest.PEMKey(t, strange, "tiger"), 0o600)

	t.Run("file", func(t *testing.T) {
		s := s
		s.IdentityFiles = []string{other, plain}
		mustRun(t, s, nil)
	})
	t.Run("inline", func(t *testing.T) {
		s := s
		s.Keys = []connect.Secret{connect.Secret(sshtest.PEMKey(t, private, ""))}
		mustRun(t, s, nil)
	})
	t.Run("usual file", func(t *testing.T) {
		places := testPlaces(t)
		os.Mkdir(filepath.Join(places.Home, ".ssh"), 0o700)
		connecttest.WriteFile(t, filepath.Join(places.Home, ".ssh", "id_ed25519"), sshtest.PEMKey(t, private, ""), 0o600)
		c, err := s.openFrom(connecttest.TestContext(t), testEnv("true"), places)
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
		e.Prompt = func(_ context.Context, p connect.Prompt) (string, error) {
			if n++; p.Kind != connect.PromptPassphrase || !strings.Contains(p.Text, locked) || p.Attempt != n {
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
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrPassword) {
			t.Fatal(err)
		}
	})
	t.Run("encrypted, no passphrase", func(t *testing.T) {
		s := s
		s.IdentityFiles = []string{locked}
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrPasswordRequired) {
			t.Fatal(err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		s := s
		s.IdentityFiles = []string{other, filepath.Join(dir, "missing")}
		_, err := dialSSH(t, s, testEnv("true"))
		if !errors.Is(err, connect.ErrPermission) || !strings.Contains(err.Error(), other+" (refused)") || !strings.Contains(err.Error(), "missing") {
			t.Fatal(err)
		}
	})
	t.Run("readable by others", func(t *testing.T) {
		s := s
		s.IdentityFiles = []string{connecttest.WriteFile(t, filepath.Join(dir, "open"), sshtest.PEMKey(t, private, ""), 0o644)}
		os.Chmod(s.IdentityFiles[0], 0o644)
		_, err := dialSSH(t, s, testEnv("true"))
		if !errors.Is(err, connect.ErrPermission) || !strings.Contains(err.Error(), "others can read it") {
			t.Fatal(err)
		}
	})
	t.Run("more than the server listens to", func(t *testing.T) {
		s := s
		for range 14 {
			_, k := sshtest.NewKey(t)
			s.Keys = append(s.Keys, connect.Secret(sshtest.PEMKey(t, k, "")))
		}
		s.Keys = append(s.Keys, connect.Secret(sshtest.PEMKey(t, private, "")))
		mustRun(t, s, nil)
	})
}

func TestSSHRSAKeySignsWithSHA2(t *testing.T) {
	connecttest.CheckLeaks(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, _ := ssh.NewSignerFromKey(private)
	server := sshtest.Start(t, func(s *sshtest.Server) {
		sshtest.OnlyKey(signer.PublicKey())(s)
		s.Config.PublicKeyAuthAlgorithms = []string{ssh.KeyAlgoRSASHA512}
	})
	for _, passphrase := range []string{"", "tiger"} {
		s := methodFor(t, server)
		s.Keys, s.Passphrase = []connect.Secret{connect.Secret(sshtest.PEMKey(t, private, passphrase))}, connect.Secret(passphrase)
		mustRun(t, s, nil)
	}
}

func TestSSHAgent(t *testing.T) {
	connecttest.CheckLeaks(t)
	signer, private := sshtest.NewKey(t)
	server := sshtest.Start(t, sshtest.OnlyKey(signer.PublicKey()))
	ring := agent.NewKeyring()
	for range 8 {
		_, k := sshtest.NewKey(t)
		ring.Add(agent.AddedKey{PrivateKey: k, Comment: "stranger"})
	}
	ring.Add(agent.AddedKey{PrivateKey: private, Comment: "mine"})
	s := methodFor(t, server)
	s.NoAgent = false
	s.AgentSocket = startAgent(t, ring)

	t.Run("last of many", func(t *testing.T) { mustRun(t, s, nil) })
	t.Run("named by its public half", func(t *testing.T) {
		s := s
		name := filepath.Join(t.TempDir(), "mine")
		connecttest.WriteFile(t, name+".pub", string(ssh.MarshalAuthorizedKey(signer.PublicKey())), 0o644)
		s.IdentityFiles, s.IdentitiesOnly = []string{name}, true
		mustRun(t, s, nil)
	})
	t.Run("restricted to others", func(t *testing.T) {
		s := s
		s.IdentitiesOnly = true
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrPermission) {
			t.Fatal(err)
		}
	})
	t.Run("gone", func(t *testing.T) {
		s := s
		s.AgentSocket = filepath.Join(t.TempDir(), "none")
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrPermission) || !strings.Contains(err.Error(), "agent: ") {
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
	connecttest.CheckLeaks(t)
	authority, _ := sshtest.NewKey(t)
	signer, private := sshtest.NewKey(t)
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, KeyId: "me at work",
		ValidPrincipals: []string{"me"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	server := sshtest.Start(t, func(s *sshtest.Server) {
		checker := &ssh.CertChecker{IsUserAuthority: func(k ssh.PublicKey) bool {
			return string(k.Marshal()) == string(authority.PublicKey().Marshal())
		}}
		s.Config.PublicKeyCallback = checker.Authenticate
	})
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(cert)))

	t.Run("beside the key", func(t *testing.T) {
		s := methodFor(t, server)
		name := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "id"), sshtest.PEMKey(t, private, ""), 0o600)
		connecttest.WriteFile(t, name+"-cert.pub", line+"\n", 0o644)
		s.IdentityFiles = []string{name}
		mustRun(t, s, nil)
	})
	t.Run("inline, with an encrypted key", func(t *testing.T) {
		s := methodFor(t, server)
		s.Keys, s.Passphrase, s.Certificates = []connect.Secret{connect.Secret(sshtest.PEMKey(t, private, "tiger"))}, "tiger", []string{line}
		mustRun(t, s, nil)
	})
	t.Run("with the agent's key", func(t *testing.T) {
		ring := agent.NewKeyring()
		ring.Add(agent.AddedKey{PrivateKey: private})
		s := methodFor(t, server)
		s.NoAgent, s.AgentSocket, s.Certificates = false, startAgent(t, ring), []string{line}
		mustRun(t, s, nil)
	})
	t.Run("without its key", func(t *testing.T) {
		s := methodFor(t, server)
		s.Certificates = []string{line}
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrPermission) || !strings.Contains(err.Error(), "not at hand") {
			t.Fatal(err)
		}
	})
}

func TestSSHTwoFactors(t *testing.T) {
	connecttest.CheckLeaks(t)
	signer, private := sshtest.NewKey(t)
	server := sshtest.Start(t, func(s *sshtest.Server) {
		s.Config.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
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
	s := methodFor(t, server)
	s.Keys = []connect.Secret{connect.Secret(sshtest.PEMKey(t, private, ""))}
	if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrPasswordRequired) {
		t.Fatal(err)
	}
	s.Password = "tiger"
	mustRun(t, s, nil)
	s.Password = "lion"
	if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrPassword) {
		t.Fatal(err)
	}
}
