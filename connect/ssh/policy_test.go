//go:build unix

package ssh

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

// A password is not sent by a method that the configuration has switched off, and
// nobody is asked where it says so.
func TestMethodsThatAreSwitchedOffAreNotTried(t *testing.T) {
	connecttest.CheckLeaks(t)
	var seen, asked atomic.Int32
	server := sshtest.Start(t, func(s *sshtest.Server) {
		s.Config.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			seen.Add(1)
			if string(p) != "tiger" {
				return nil, errors.New("wrong password")
			}
			return nil, nil
		}
		s.Config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil {
				return nil, err
			}
			seen.Add(1)
			if answers[0] != "tiger" {
				return nil, errors.New("wrong password")
			}
			return nil, nil
		}
	})
	const neither = "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
	for _, c := range []struct {
		name, config string
		password     connect.Secret
		want         error
		seen, asked  int32
		says         string
	}{
		{"both", "", "tiger", nil, 1, 0, ""},
		{"neither", neither, "tiger", connect.ErrPermission, 0, 0, "the configuration forbids keyboard-interactive; the configuration forbids password"},
		{"neither, and somebody to ask", neither, "", connect.ErrPermission, 0, 0, "forbids password"},
		{"by older names", "PasswordAuthentication no\nChallengeResponseAuthentication no\n", "tiger", connect.ErrPermission, 0, 0, ""},
		{"keys are preferred to the exclusion of all", "PreferredAuthentications publickey\n", "tiger", connect.ErrPermission, 0, 0, ""},
		{"a batch, with a password", "BatchMode yes\n", "tiger", nil, 1, 0, ""},
		{"a batch, without", "BatchMode yes\n", "", connect.ErrPasswordRequired, 0, 0, ""},
		{"one prompt by each method", "NumberOfPasswordPrompts 1\nKbdInteractiveAuthentication no\n", "", connect.ErrPassword, 1, 1, ""},
		{"no prompt", "NumberOfPasswordPrompts 0\n", "", connect.ErrPasswordRequired, 0, 0, ""},
	} {
		seen.Store(0)
		asked.Store(0)
		s := methodFor(t, server)
		s.Password, s.NoConfig = c.password, false
		s.ConfigFile = connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), c.config, 0o600)
		env := testEnv("true")
		env.Prompt = func(context.Context, connect.Prompt) (string, error) {
			asked.Add(1)
			return "wrong", nil
		}
		conn, err := dialSSH(t, s, env)
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, wanted %v with %q", c.name, err, c.want, c.says)
		}
		if seen.Load() != c.seen || asked.Load() != c.asked {
			t.Errorf("%s: the server saw %d passwords and %d were asked for, wanted %d and %d", c.name, seen.Load(), asked.Load(), c.seen, c.asked)
		}
	}
}

// The keys of an agent are held to the same as those in files.
func TestKeysOfAnAgentAreRestricted(t *testing.T) {
	connecttest.CheckLeaks(t)
	authority, _ := sshtest.NewKey(t)
	signer, private := sshtest.NewKey(t)
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, KeyId: "me", ValidPrincipals: []string{"me"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	server := sshtest.Start(t, func(s *sshtest.Server) {
		s.Config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }
	})
	for _, c := range []struct {
		name, config string
		key          agent.AddedKey
		says         string // of the error; "" for none
	}{
		{"a certificate", "", agent.AddedKey{PrivateKey: private, Certificate: cert}, ""},
		{"a certificate that is not accepted", "PubkeyAcceptedAlgorithms ssh-ed25519\n", agent.AddedKey{PrivateKey: private, Certificate: cert}, "PubkeyAcceptedAlgorithms"},
		{"a key", "", agent.AddedKey{PrivateKey: private}, ""},
		{"a key that is not accepted", "PubkeyAcceptedAlgorithms rsa-sha2-512\n", agent.AddedKey{PrivateKey: private}, "PubkeyAcceptedAlgorithms"},
		{"an RSA key", "RequiredRSASize 2048\n", agent.AddedKey{PrivateKey: rsaKey}, ""},
		{"a short RSA key", "RequiredRSASize 3072\n", agent.AddedKey{PrivateKey: rsaKey}, "RequiredRSASize"},
	} {
		keyring := agent.NewKeyring()
		if err := keyring.Add(c.key); err != nil {
			t.Fatal(err)
		}
		s := methodFor(t, server)
		s.NoAgent, s.AgentSocket, s.NoConfig = false, startAgent(t, keyring), false
		s.ConfigFile = connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), "IdentityFile none\n"+c.config, 0o600)
		conn, err := dialSSH(t, s, testEnv("true"))
		if err == nil {
			conn.Close()
		}
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, wanted %q", c.name, err, c.says)
		}
	}
}

// What is not honoured is said, once, with the way out.
func TestSettingsWithoutEffectAreSaid(t *testing.T) {
	connecttest.CheckLeaks(t)
	var log strings.Builder
	s := methodFor(t, sshtest.Start(t, nil))
	s.NoConfig, s.ConfigFile = false, connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"),
		"LocalForward 1 h:2\nTunnel yes\nForwardX11 yes\nPermitLocalCommand yes\nLocalCommand echo x\nPKCS11Provider /p.so\nRekeyLimit 1G 1h\nVerifyHostKeyDNS no\n", 0o600)
	mustRun(t, s, &connect.OpenRequest{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, word := range []string{"LocalForward", "Tunnel", "ForwardX11", "LocalCommand", "PKCS11Provider", "RekeyLimit"} {
		if strings.Count(log.String(), word+": ") != 1 {
			t.Errorf("%s is said %d times in:\n%s", word, strings.Count(log.String(), word+": "), log.String())
		}
	}
	s.KnownHostsFiles = []string{filepath.Join(t.TempDir(), "none")}
	s.ConfigFile = connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), "VerifyHostKeyDNS yes\n", 0o600)
	if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrHostKeyUnknown) || !strings.Contains(err.Error(), "VerifyHostKeyDNS") {
		t.Error(err)
	}
}

func TestConnectionAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			attempts, fail, dialled int
			want                    bool
			took                    time.Duration
		}{
			{0, 0, 1, true, 0}, {0, 1, 1, false, 0}, {3, 2, 3, true, 2 * attemptPause}, {3, 9, 3, false, 2 * attemptPause},
		} {
			dialled := 0
			d := &dial{env: &connect.OpenRequest{Dial: func(context.Context, string, string) (net.Conn, error) {
				if dialled++; dialled <= c.fail {
					return nil, io.ErrUnexpectedEOF
				}
				here, there := net.Pipe()
				there.Close()
				return here, nil
			}}}
			start := time.Now()
			conn, err := d.dialServer(t.Context(), &Login{}, &settings{host: "192.0.2.1", port: 22, policy: policy{attempts: c.attempts}})
			if conn != nil {
				conn.Close()
			}
			if (err == nil) != c.want || dialled != c.dialled || time.Since(start) != c.took {
				t.Errorf("%d attempts, %d of which fail: %v after %d and %v", c.attempts, c.fail, err, dialled, time.Since(start))
			}
		}
	})
}

// Fields of the method come before the configuration.
func TestAlgorithmsOfTheMethod(t *testing.T) {
	connecttest.CheckLeaks(t)
	server := sshtest.Start(t, func(s *sshtest.Server) { s.Config.Ciphers = []string{ssh.CipherAES256CTR} })
	s := methodFor(t, server)
	s.NoConfig, s.ConfigFile = false, connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), "Ciphers aes128-ctr\n", 0o600)
	if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrStart) {
		t.Errorf("by the configuration: %v", err)
	}
	s.Ciphers = []string{ssh.CipherAES256CTR}
	mustRun(t, s, nil)
}
