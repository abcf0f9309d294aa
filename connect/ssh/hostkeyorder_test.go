//go:build linux

package ssh

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

// hostOfManyKeys is a server with a key of each kind.
type hostOfManyKeys struct {
	*besideSSH
	name string
	line map[string]string // of known_hosts, by the kind of key
}

func newHostOfManyKeys(t *testing.T) *hostOfManyKeys {
	t.Helper()
	b := newBesideSSH(t, "")
	_, ed := sshtest.NewKey(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.Signer{"ed25519": ed, "rsa": rsaKey}
	for name, curve := range map[string]elliptic.Curve{"ecdsa": elliptic.P256(), "ecdsa384": elliptic.P384()} {
		if keys[name], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	config := "AuthorizedKeysFile " + b.dir + "/authorized\n"
	h := &hostOfManyKeys{besideSSH: b, line: map[string]string{}}
	for kind, key := range keys {
		file := connecttest.WriteFile(t, filepath.Join(b.dir, "host-"+kind), sshtest.PEMKey(t, key, ""), 0o600)
		config += "HostKey " + file + "\n"
	}
	b.restart(t, config)
	h.name = knownHostName("127.0.0.1", b.method.Port)
	for kind, key := range keys {
		signer, err := ssh.NewSignerFromKey(key)
		if err != nil {
			t.Fatal(err)
		}
		connecttest.WriteFile(t, filepath.Join(b.dir, kind+".pub"), string(ssh.MarshalAuthorizedKey(signer.PublicKey())), 0o600)
		h.line[kind] = knownHostLine(h.name, signer.PublicKey(), false)
	}
	return h
}

// known writes a known_hosts file with the keys of some kinds in this order, and
// returns the setting that leads to it.
func (h *hostOfManyKeys) known(t *testing.T, kinds, more string) string {
	t.Helper()
	for _, kind := range strings.Fields(kinds) {
		more += h.line[kind]
	}
	return "UserKnownHostsFile " + connecttest.WriteFile(t, filepath.Join(t.TempDir(), "known"), more, 0o600) + "\n"
}

// The order of the lines in known_hosts does not say which key the server is asked for:
// else a revoked key would go unseen behind another one.
func TestARevokedKeyIsSeenWhereverItStandsInKnownHosts(t *testing.T) {
	connecttest.CheckLeaks(t)
	h := newHostOfManyKeys(t)
	for _, c := range []struct {
		known, revoked string
		want           bool
	}{
		{"ecdsa rsa ed25519", "ed25519", false},
		{"rsa ed25519", "ed25519", false},
		{"ed25519 ecdsa rsa", "ed25519", false},
		{"ecdsa rsa ed25519", "ecdsa", true}, // ssh does not look at it either
		{"rsa ecdsa", "ed25519", true},
		{"rsa ecdsa", "ecdsa", false},
		{"rsa ecdsa384", "ecdsa384", false},
	} {
		t.Run(c.known+" without "+c.revoked, func(t *testing.T) {
			h.verdict(t, h.known(t, c.known, "")+"RevokedHostKeys DIR/"+c.revoked+".pub\n", c.want, false)
		})
	}
}

// The server is asked for the kinds of host keys that ssh asks for, in its order.
func TestHostKeysAreAskedForInTheOrderOfSSH(t *testing.T) {
	connecttest.CheckLeaks(t)
	h := newHostOfManyKeys(t)
	authority, _ := sshtest.NewKey(t)
	ca := "@cert-authority " + h.name + " " + string(ssh.MarshalAuthorizedKey(authority.PublicKey()))
	for _, c := range []struct{ known, more, config string }{
		{"", "", ""},
		{"ed25519", "", ""},
		{"ecdsa", "", ""},
		{"ecdsa384", "", ""},
		{"rsa", "", ""},
		{"rsa ecdsa384 ecdsa", "", ""},
		{"ecdsa rsa ed25519", "", ""},
		{"", ca, ""},
		{"rsa", ca, ""},
		{"ed25519", ca, ""},
		{"", "@revoked " + h.line["ed25519"], ""},
		{"rsa", "@revoked " + h.line["ed25519"], ""},
		{"rsa", "", "HostKeyAlgorithms +ssh-rsa"},
		{"rsa", "", "HostKeyAlgorithms -rsa-sha2-512,ssh-ed25519*"},
		{"ecdsa rsa", "", "HostKeyAlgorithms -ssh-ed25519"},
		{"ed25519 rsa", "", "HostKeyAlgorithms -ssh-ed25519-cert*"},
		{"ed25519", "", "HostKeyAlgorithms ^rsa-sha2-512"},
		{"ed25519", "", "HostKeyAlgorithms rsa-sha2-512,ecdsa-sha2-nistp256"},
	} {
		config := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), h.known(t, c.known, c.more)+c.config+"\n"+h.base, 0o600)
		out, _ := exec.Command("ssh", "-vv", "-F", config, "web", "true").CombinedOutput()
		_, own, _ := strings.Cut(string(out), "local client KEXINIT proposal")
		_, list, _ := strings.Cut(own, "debug2: host key algorithms: ")
		list, _, found := strings.Cut(list, "\n")
		if !found {
			t.Fatalf("ssh does not say which algorithms it offers:\n%s", out)
		}
		all := strings.Split(hostKeyNames.usual+","+hostKeyNames.onRequest, ",")
		theirs := strings.Split(strings.TrimSpace(list), ",")
		theirs = without(theirs, without(theirs, all)) // those that this client has

		places := testPlaces(t)
		for _, places.Program = range []string{"ssh", ""} {
			s := Login{Host: "web", ConfigFile: config}
			set, err := s.resolve(t.Context(), places)
			if err != nil {
				t.Fatal(err)
			}
			v, err := newHostVerifier(t.Context(), set)
			if err != nil {
				t.Fatal(err)
			}
			ours := set.offers(v.record, v.bare)
			if ours = without(ours, without(ours, theirs)); !slices.Equal(ours, theirs) {
				t.Errorf("known %q and %q, %q, by the program %q:\nwe ask for %q\nssh asks for %q", c.known, c.more, c.config, places.Program, ours, theirs)
			}
		}
	}
}
