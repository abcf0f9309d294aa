//go:build unix

package ssh

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

func TestSSHUnknownHost(t *testing.T) {
	connecttest.CheckLeaks(t)
	server := sshtest.Start(t, nil)
	s := methodFor(t, server)
	s.KnownHostsFiles = []string{filepath.Join(t.TempDir(), "new", "known_hosts")}
	fingerprint := ssh.FingerprintSHA256(server.Host.PublicKey())

	_, err := dialSSH(t, s, testEnv("true"))
	if !errors.Is(err, connect.ErrHostKeyUnknown) || !strings.Contains(err.Error(), fingerprint) || !strings.Contains(err.Error(), s.KnownHostsFiles[0]) {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(s.KnownHostsFiles[0])); err == nil {
		t.Fatal("refusing a host left something behind")
	}

	s.HostKeys = connect.HostKeysAcceptNew
	mustRun(t, s, nil)
	dir, _ := os.Stat(filepath.Dir(s.KnownHostsFiles[0]))
	file, err := os.Stat(s.KnownHostsFiles[0])
	if err != nil || dir.Mode().Perm() != 0o700 || file.Mode().Perm() != 0o600 {
		t.Fatal(dir.Mode(), file, err)
	}
	s.HostKeys = connect.HostKeysStrict
	mustRun(t, s, nil)
}

func TestSSHIgnoredHostKey(t *testing.T) {
	connecttest.CheckLeaks(t)
	s := methodFor(t, sshtest.Start(t, nil))
	name := filepath.Join(t.TempDir(), "known_hosts")
	s.KnownHostsFiles, s.HostKeys = []string{name}, connect.InsecureIgnoreHostKeys
	mustRun(t, s, nil)
	if _, err := os.Stat(name); err == nil {
		t.Fatal("the key was remembered")
	}
}

func TestSSHChangedHostKey(t *testing.T) {
	connecttest.CheckLeaks(t)
	server := sshtest.Start(t, nil)
	s := methodFor(t, server)
	old, _ := sshtest.NewKey(t)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	otherType, _ := ssh.NewSignerFromKey(rsaKey)
	for _, was := range []ssh.Signer{old, otherType} {
		line := "# a comment\n\n" + knownHostLine(knownHostName("127.0.0.1", s.Port), was.PublicKey(), false)
		s.KnownHostsFiles = []string{connecttest.WriteFile(t, filepath.Join(t.TempDir(), "known_hosts"), line, 0o600)}
		for _, policy := range []connect.HostKeyPolicy{connect.HostKeysStrict, connect.HostKeysAcceptNew} {
			s.HostKeys = policy
			_, err := dialSSH(t, s, testEnv("true"))
			if !errors.Is(err, connect.ErrHostKeyChanged) || errors.Is(err, connect.ErrHostKeyUnknown) {
				t.Fatal(err)
			}
			for _, part := range []string{s.KnownHostsFiles[0] + ":3", ssh.FingerprintSHA256(was.PublicKey()), ssh.FingerprintSHA256(server.Host.PublicKey())} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
		}
		if text, _ := os.ReadFile(s.KnownHostsFiles[0]); string(text) != line {
			t.Fatal("the file was changed")
		}
	}
}

func TestSSHHostKeyLines(t *testing.T) {
	connecttest.CheckLeaks(t)
	server := sshtest.Start(t, nil)
	key := server.Host.PublicKey()
	port := server.Port()
	other, _ := sshtest.NewKey(t)
	line := func(marker, name string, key ssh.PublicKey) string {
		return strings.TrimLeft(marker+" "+knownHostLine(name, key, false), " ")
	}
	for _, c := range []struct {
		name  string
		lines string
		alias string
		want  error
	}{
		{"hashed", knownHostLine(knownHostName("127.0.0.1", port), key, true), "", nil},
		{"wildcard", line("", "[127.*]:*", key), "", nil},
		{"list", line("", "other,[127.0.0.1]:"+strconv.Itoa(port), key), "", nil},
		{"negated", line("", "![127.0.0.1]:*,[127.*]:*", key), "", connect.ErrHostKeyUnknown},
		{"bare name", line("", "127.0.0.1", key), "", nil},
		{"bare name with another key", line("", "127.0.0.1", other.PublicKey()), "", connect.ErrHostKeyUnknown},
		{"several keys", line("", "127.0.0.1", other.PublicKey()) + line("", "127.0.0.1", key), "", nil},
		{"revoked", line("", "[127.0.0.1]:*", key) + line("@revoked", "*", key), "", ErrHostKeyRevoked},
		{"alias", line("", "web", key), "web", nil},
		{"alias that is unknown", line("", "127.0.0.1", key), "web", connect.ErrHostKeyUnknown},
		{"authority only", line("@cert-authority", "*", other.PublicKey()), "", connect.ErrHostKeyUnknown},
		{"lines that can't be read", "127.0.0.1 sk-future AAAA\n@what 127.0.0.1 ssh-rsa AAAA\n<<<<<<< HEAD\n" + line("", "127.0.0.1", key), "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := methodFor(t, server)
			s.KnownHostsFiles = []string{connecttest.WriteFile(t, filepath.Join(t.TempDir(), "known_hosts"), c.lines, 0o600)}
			s.HostKeyAlias = c.alias
			if c.want == nil {
				mustRun(t, s, nil)
			} else if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, c.want) {
				t.Fatal(err)
			}
		})
	}
}

// A server with several keys must show the one that is known.
func TestSSHAsksForTheKnownKindOfKey(t *testing.T) {
	connecttest.CheckLeaks(t)
	ecKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec, _ := ssh.NewSignerFromKey(ecKey)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	rsaSigner, _ := ssh.NewSignerFromKey(rsaKey)
	server := sshtest.Start(t, func(s *sshtest.Server) {
		s.Config.AddHostKey(ec)
		s.Config.AddHostKey(rsaSigner)
	})
	for _, key := range []ssh.Signer{server.Host, ec, rsaSigner} {
		s := methodFor(t, server)
		s.KnownHostsFiles = []string{connecttest.WriteFile(t, filepath.Join(t.TempDir(), "known_hosts"),
			knownHostLine(knownHostName("127.0.0.1", s.Port), key.PublicKey(), true), 0o600)}
		mustRun(t, s, nil)
	}
}

// CheckHostIP: the address of a host must not be known with another key.
func TestAddressOfAHostIsChecked(t *testing.T) {
	key, _ := sshtest.NewKey(t)
	other, _ := sshtest.NewKey(t)
	own := knownHostLine("web", key.PublicKey(), false)
	for _, c := range []struct {
		name, more, address string
		off                 bool
		want                error
	}{
		{"nothing is known of the address", "", "192.0.2.1", false, nil},
		{"the same key", knownHostLine("192.0.2.1", key.PublicKey(), true), "192.0.2.1", false, nil},
		{"another key", knownHostLine("192.0.2.1", other.PublicKey(), true), "192.0.2.1", false, connect.ErrHostKeyChanged},
		{"revoked", "@revoked " + knownHostLine("192.0.2.1", key.PublicKey(), false), "192.0.2.1", false, ErrHostKeyRevoked},
		{"another key, and it is not checked", knownHostLine("192.0.2.1", other.PublicKey(), true), "192.0.2.1", true, nil},
		{"loopback", knownHostLine("127.0.0.1", other.PublicKey(), true), "127.0.0.1", false, nil},
	} {
		name := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "known_hosts"), own+c.more, 0o600)
		set := &settings{host: "web", port: 22, userKnownHosts: []string{name}}
		set.checkHostIP = !c.off
		v, err := newHostVerifier(t.Context(), set)
		if err != nil {
			t.Fatal(err)
		}
		v.direct = true
		if err := v.check("", &net.TCPAddr{IP: net.ParseIP(c.address), Port: 22}, key.PublicKey()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, wanted %v", c.name, err, c.want)
		}
	}
}

// Many connections that meet a new host at once add one line between them, and
// whole lines in any case, also behind a line that lacks its end.
func TestKnownHostsIsAppendedToByMany(t *testing.T) {
	name := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "known_hosts"), "old ssh-ed25519 AAAA", 0o600)
	signer, _ := sshtest.NewKey(t)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			v, err := newHostVerifier(t.Context(), &settings{host: fmt.Sprintf("web%d", i%8), port: 22, hostKeys: connect.HostKeysAcceptNew, userKnownHosts: []string{name}})
			if err == nil {
				err = v.check("", nil, signer.PublicKey())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	text, _ := os.ReadFile(name)
	if n := strings.Count(string(text), "\n"); n != 9 || !strings.HasPrefix(string(text), "old ssh-ed25519 AAAA\nweb") {
		t.Fatalf("%d lines: %s", n, text)
	}
}

// Wildcards mean what they do in a regular expression of the same shape.
func FuzzWildcard(f *testing.F) {
	for _, seed := range [][2]string{{"?*", "0"}, {"*", ""}, {"*.b", "a.b"}, {"a*b*c", "abbc"}, {"**?", "x"}, {"?", ""}, {"a", "ab"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 50 || len(name) > 200 {
			return
		}
		var expression strings.Builder
		for _, c := range []byte(pattern) {
			switch c {
			case '*':
				expression.WriteString("(?s:.*)")
			case '?':
				expression.WriteString("(?s:.)")
			default:
				expression.WriteString(regexp.QuoteMeta(string(rune(c))))
			}
		}
		// Wildcards stand for bytes, so each byte is made a character.
		latin := make([]rune, len(name))
		for i := range len(name) {
			latin[i] = rune(name[i])
		}
		want := regexp.MustCompile("^(?s:" + expression.String() + ")$").MatchString(string(latin))
		if got := sshconfig.MatchWildcard(pattern, name); got != want {
			t.Errorf("%q against %q: %v", pattern, name, got)
		}
	})
}

// The matching agrees with golang.org/x/crypto/ssh/knownhosts wherever that can
// read the file at all.
func FuzzKnownHosts(f *testing.F) {
	signer, _ := sshtest.NewKey(f)
	key := signer.PublicKey()
	blob := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	for _, seed := range []string{"h %s", "*.b,!x.b %s", "[h]:22 %s", "@revoked h %s", "# %s", "@cert-authority h %s", "|1|a|b %s", "h,\n%s", "?*?* %s"} {
		f.Add(seed, "h")
	}
	f.Fuzz(func(t *testing.T, format, host string) {
		text := strings.ReplaceAll(format, "%s", blob)
		lines, err := parseKnownHosts(strings.NewReader(text), "f")
		if err != nil {
			return
		}
		rec, bare := lines.lookup(host, 2222)
		_ = rec.hostKeyAlgorithms(bare, hostKeyNames.defaults())

		// Theirs reads a port out of a pattern, compares case, lets a key pass
		// that is only known as an authority, and wants a character for a star
		// at the end.
		if host == "" || strings.ContainsAny(host+format, "*[]:|\\\x00\r\v\f\u0085\u00a0") || host != strings.ToLower(host) || format != strings.ToLower(format) {
			return
		}
		name := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "f"), text, 0o600)
		theirs, err := knownhosts.New(name)
		if err != nil {
			return
		}
		verifier, err := newHostVerifier(t.Context(), &settings{host: host, port: 22, userKnownHosts: []string{name}})
		if err != nil {
			t.Fatal(err)
		}
		addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}
		want := theirs(check.HostPort(host, 22), addr, key)
		got := verifier.check("", addr, key)
		if (want == nil) != (got == nil) && !strings.Contains(text, "@") {
			t.Fatalf("%q for %q: %v, theirs %v", text, host, got, want)
		}
	})
}
