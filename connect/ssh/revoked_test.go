//go:build unix

package ssh

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

// A host certificate with a serial number, and its key.
func newHostCert(t testing.TB, authority ssh.Signer, serial uint64, id string) *ssh.Certificate {
	t.Helper()
	host, _ := sshtest.NewKey(t)
	cert := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, KeyId: id, Serial: serial,
		ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return cert
}

func sshKeygen(t testing.TB, args ...string) error {
	t.Helper()
	out, err := exec.Command("ssh-keygen", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ssh-keygen %q: %w: %s", args, err, out)
	}
	return nil
}

// krlKeys are keys and certificates that the lists of this file are about.
type krlKeys struct {
	dir  string
	keys map[string]ssh.PublicKey // by the name of the file that has one
}

func newKRLKeys(t testing.TB) *krlKeys {
	k := &krlKeys{dir: t.TempDir(), keys: map[string]ssh.PublicKey{}}
	add := func(name string, key ssh.PublicKey) {
		k.keys[name] = key
		connecttest.WriteFile(t, filepath.Join(k.dir, name), string(ssh.MarshalAuthorizedKey(key)), 0o600)
	}
	ca, _ := sshtest.NewKey(t)
	other, _ := sshtest.NewKey(t)
	add("ca.pub", ca.PublicKey())
	add("other-ca.pub", other.PublicKey())
	for i := range 3 {
		key, _ := sshtest.NewKey(t)
		add(fmt.Sprintf("key%d.pub", i), key.PublicKey())
	}
	for _, serial := range []uint64{0, 1, 7, 8, 100, 4000, 1 << 40, 1<<64 - 1} {
		add(fmt.Sprintf("cert%d.pub", serial), newHostCert(t, ca, serial, fmt.Sprint("id", serial)))
	}
	add("foreign7.pub", newHostCert(t, other, 7, "foreign"))
	return k
}

// list makes a key revocation list of a specification, by ssh-keygen.
func (k *krlKeys) list(t testing.TB, spec string, args ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "krl")
	spec = connecttest.WriteFile(t, filepath.Join(t.TempDir(), "spec"), strings.ReplaceAll(spec, "DIR", k.dir), 0o600)
	if err := sshKeygen(t, append(append([]string{"-q", "-k", "-f", name}, args...), spec)...); err != nil {
		t.Fatal(err)
	}
	return name
}

// specs are lists of every kind that ssh-keygen makes.
func (k *krlKeys) specs(t testing.TB) map[string]string {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(k.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	ca := []string{"-s", filepath.Join(k.dir, "ca.pub")}
	made := map[string]string{
		"empty":         k.list(t, ""),
		"a plain key":   k.list(t, read("key0.pub")+"\n"),
		"keys":          k.list(t, "key: "+read("key0.pub")+"\nkey: "+read("key2.pub")+"\n"),
		"sha1":          k.list(t, "sha1: "+read("key1.pub")+"\n"),
		"sha256":        k.list(t, "sha256: "+read("key1.pub")+"\n"),
		"hash":          k.list(t, "hash: "+ssh.FingerprintSHA256(k.keys["key2.pub"])+"\n"),
		"an authority":  k.list(t, "key: "+read("ca.pub")+"\n"),
		"a serial":      k.list(t, "serial: 7\n", ca...),
		"a range":       k.list(t, "serial: 7-4000\n", ca...),
		"many":          k.list(t, "serial: 1\nserial: 3\nserial: 5\nserial: 8\nserial: 10\nserial: 12\nserial: 100\n", ca...),
		"far apart":     k.list(t, "serial: 1\nserial: 1099511627776\nserial: 18446744073709551615\n", ca...),
		"an identity":   k.list(t, "id: id100\nid: id8\n", ca...),
		"mixed":         k.list(t, "serial: 1\nid: id100\nkey: "+read("key0.pub")+"\nsha256: "+read("key1.pub")+"\n", ca...),
		"a certificate": k.list(t, read("cert8.pub")+"\n"),
	}
	// No authority: any.
	made["any authority"] = k.list(t, "serial: 7\n", "-s", "none")
	return made
}

// What a list revokes is what ssh-keygen says it does.
func TestKRLRevokesAsSSHKeygenSays(t *testing.T) {
	k := newKRLKeys(t)
	hits := 0
	for name, list := range k.specs(t) {
		for file, key := range k.keys {
			want := sshKeygen(t, "-Q", "-f", list, filepath.Join(k.dir, file)) != nil
			reason, err := revokedBy(list, key)
			if err != nil || (reason != "") != want {
				t.Errorf("list of %s: %s is revoked: %v by ssh-keygen, %q, %v by us", name, file, want, reason, err)
			}
			if want {
				hits++
			}
		}
	}
	if hits < 25 {
		t.Errorf("the lists revoke %d keys only", hits)
	}
}

// A list that is cut short or altered is never taken for one that revokes nothing.
func TestKRLThatIsDamaged(t *testing.T) {
	k := newKRLKeys(t)
	for name, list := range k.specs(t) {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		sections := krlSections(t, text)
		for n := len(krlMagic); n < len(text); n++ {
			if _, err := krlRevokes(text[:n], k.keys["key0.pub"]); err == nil && !slices.Contains(sections, n) {
				t.Errorf("list of %s: %d of %d bytes pass for a whole one", name, n, len(text))
			}
		}
	}
	header := krlMagic + "\x00\x00\x00\x01" + strings.Repeat("\x00", 3*8+2*4)
	for name, list := range map[string]string{
		"another format":            strings.Replace(header, "\x00\x00\x00\x01", "\x00\x00\x00\x02", 1),
		"an unknown section":        header + "\x09\x00\x00\x00\x00",
		"a signature":               header + "\x04\x00\x00\x00\x00",
		"a critical extension":      header + "\xff\x00\x00\x00\x0a\x00\x00\x00\x01x\x01\x00\x00\x00\x00",
		"an unknown kind of serial": header + "\x01\x00\x00\x00\x0d\x00\x00\x00\x00\x00\x00\x00\x00\x77\x00\x00\x00\x00",
		"a length without bytes":    header + "\x02\xff\xff\xff\xff",
		"half a serial":             header + "\x01\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x20\x00\x00\x00\x03\x00\x00\x00",
	} {
		if reason, err := krlRevokes([]byte(list), k.keys["cert7.pub"]); err == nil {
			t.Errorf("a list with %s was taken: %q", name, reason)
		}
	}
	if _, err := krlRevokes([]byte(header+"\xff\x00\x00\x00\x0a\x00\x00\x00\x01x\x00\x00\x00\x00\x00"), k.keys["key0.pub"]); err != nil {
		t.Errorf("an extension that is not critical: %v", err)
	}
}

// krlSections are the places where a section ends: a list that ends there is a whole one.
func krlSections(t *testing.T, text []byte) (ends []int) {
	r := &krlReader{rest: text[len(krlMagic):]}
	r.take(4 + 3*8)
	r.string()
	r.string()
	ends = append(ends, len(text)-len(r.rest))
	for r.more() {
		r.number(1)
		r.string()
		ends = append(ends, len(text)-len(r.rest))
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	return ends
}

func FuzzKRL(f *testing.F) {
	k := newKRLKeys(f)
	for _, list := range k.specs(f) {
		text, err := os.ReadFile(list)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !isKRL(text) {
			return
		}
		for _, name := range []string{"key0.pub", "cert7.pub"} {
			// No panic, no memory beyond the list, and the same answer each time.
			reason, err := krlRevokes(text, k.keys[name])
			again, errAgain := krlRevokes(bytes.Clone(text), k.keys[name])
			if reason != again || (err == nil) != (errAgain == nil) {
				t.Fatalf("%q, %v and then %q, %v", reason, err, again, errAgain)
			}
		}
	})
}

func TestRevokedHostKeys(t *testing.T) {
	connecttest.CheckLeaks(t)
	server := sshtest.Start(t, nil)
	key := server.Host.PublicKey()
	other, _ := sshtest.NewKey(t)
	dir := t.TempDir()
	line := func(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }
	hostFile := connecttest.WriteFile(t, filepath.Join(dir, "host.pub"), line(key), 0o600)
	krl := filepath.Join(dir, "krl")
	if err := sshKeygen(t, "-q", "-k", "-f", krl, hostFile); err != nil {
		t.Fatal(err)
	}
	cut, _ := os.ReadFile(krl)
	for _, c := range []struct {
		name, file string
		want       error
	}{
		{"a list without it", connecttest.WriteFile(t, filepath.Join(dir, "others"), "# none\n\n"+line(other.PublicKey()), 0o600), nil},
		{"a list", connecttest.WriteFile(t, filepath.Join(dir, "list"), "# some\nnonsense\nsk-future AAAA x\n"+line(other.PublicKey())+line(key), 0o600), ErrHostKeyRevoked},
		{"a list with a line of garbage", connecttest.WriteFile(t, filepath.Join(dir, "garbage"), line(other.PublicKey())+"garbage\n", 0o600), connect.ErrHostKey},
		{"the key behind a byte order mark", connecttest.WriteFile(t, filepath.Join(dir, "bom"), "\xef\xbb\xbf"+line(key), 0o600), connect.ErrHostKey},
		{"a key revocation list", krl, ErrHostKeyRevoked},
		{"a list that is cut short", connecttest.WriteFile(t, filepath.Join(dir, "cut"), string(cut[:len(cut)-1]), 0o600), connect.ErrHostKey},
		{"no file", filepath.Join(dir, "nosuch"), connect.ErrHostKey},
		{"a directory", dir, connect.ErrHostKey},
		{"none", "none", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, policy := range []connect.HostKeyPolicy{connect.HostKeysStrict, connect.HostKeysAcceptNew, connect.InsecureIgnoreHostKeys} {
				s := methodFor(t, server)
				s.HostKeys, s.RevokedHostKeys = policy, []string{c.file}
				check := func(s Login) {
					t.Helper()
					if c.want == nil {
						mustRun(t, s, nil)
						return
					}
					_, err := dialSSH(t, s, testEnv("true"))
					if !errors.Is(err, c.want) || c.want == connect.ErrHostKey && errors.Is(err, ErrHostKeyRevoked) {
						t.Errorf("policy %d: %v, wanted %v", policy, err, c.want)
					}
				}
				check(s)
				// The same by the configuration, with and without an ssh program.
				s.RevokedHostKeys, s.NoConfig = nil, false
				s.ConfigFile = connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), "RevokedHostKeys "+c.file+"\n", 0o600)
				check(s)
				if c.want == nil {
					continue
				}
				places := testPlaces(t)
				places.Program = ""
				if _, err := s.openFrom(connecttest.TestContext(t), testEnv("true"), places); !errors.Is(err, c.want) {
					t.Errorf("without an ssh program, policy %d: %v, wanted %v", policy, err, c.want)
				}
			}
		})
	}
}

// A certificate is revoked with its key, with its authority, and by its serial number.
func TestRevokedHostCertificates(t *testing.T) {
	authority, _ := sshtest.NewKey(t)
	cert := newHostCert(t, authority, 7, "web")
	dir := t.TempDir()
	caFile := connecttest.WriteFile(t, filepath.Join(dir, "ca.pub"), string(ssh.MarshalAuthorizedKey(authority.PublicKey())), 0o600)
	krl := filepath.Join(dir, "krl")
	if err := sshKeygen(t, "-q", "-k", "-f", krl, "-s", caFile, connecttest.WriteFile(t, filepath.Join(dir, "spec"), "serial: 7\n", 0o600)); err != nil {
		t.Fatal(err)
	}
	known := connecttest.WriteFile(t, filepath.Join(dir, "known_hosts"), "@cert-authority * "+string(ssh.MarshalAuthorizedKey(authority.PublicKey())), 0o600)
	for _, file := range []string{
		connecttest.WriteFile(t, filepath.Join(dir, "key"), string(ssh.MarshalAuthorizedKey(cert.Key)), 0o600), caFile, krl,
	} {
		set := &settings{host: "127.0.0.1", port: 22, userKnownHosts: []string{known}}
		v, err := newHostVerifier(t.Context(), set)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.check("", nil, cert); err != nil {
			t.Fatal("the certificate does not do by itself: ", err)
		}
		set.revoked = []string{file}
		if v, err = newHostVerifier(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		if err := v.check("", nil, cert); !errors.Is(err, ErrHostKeyRevoked) {
			t.Errorf("%s: error %v, want %q", filepath.Base(file), err, ErrHostKeyRevoked)
		}
	}
}
