//go:build linux

package ssh

import (
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

// A list of revoked keys in which a line can't be understood refuses every host, as with
// ssh: it may be the line that matters.
func TestRevokedListsThatAreNotUnderstood(t *testing.T) {
	connecttest.CheckLeaks(t)
	b := newBesideSSH(t, "")
	other, _ := sshtest.NewKey(t)
	foreign := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(other.PublicKey())))
	blob := strings.Fields(foreign)[1]
	authority, _ := sshtest.NewKey(t)
	cert := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(newHostCert(t, authority, 7, "web"))))
	krl := filepath.Join(b.dir, "whole.krl")
	if err := sshKeygen(t, "-q", "-k", "-f", krl, connecttest.WriteFile(t, filepath.Join(b.dir, "foreign.pub"), foreign+"\n", 0o600)); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(krl)
	if err != nil {
		t.Fatal(err)
	}
	rsaLine := func(bits int) string {
		public, err := ssh.NewPublicKey(&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), bits-1, 1), E: 65537})
		if err != nil {
			t.Fatal(err)
		}
		return string(ssh.MarshalAuthorizedKey(public))
	}
	const bom = "\xef\xbb\xbf"
	lists := map[string]struct {
		text string
		want bool // the host is taken
	}{
		"another key":                   {foreign + "\n", true},
		"comments and blank lines":      {"# none\n\n \t\n\t# of these\n  " + foreign + " of a host, gone\n", true},
		"an empty file":                 {"", true},
		"no newline at the end":         {foreign, true},
		"lines of Windows":              {"# none\r\n" + foreign + "\r\n", true},
		"tabs":                          {strings.ReplaceAll(foreign, " ", "\t ") + "\n", true},
		"a certificate of another host": {cert + "\n", true},
		"the key":                       {b.public + "\n", false},
		"the key behind another":        {foreign + "\n" + b.public + "\n", false},
		"the key behind a BOM":          {bom + b.public + "\n", false},
		"another key behind a BOM":      {bom + foreign + "\n", false},
		"a comment behind a BOM":        {bom + "# none\n" + foreign + "\n", false},
		"UTF-16":                        {"\xff\xfes\x00s\x00h\x00\n\x00", false},
		"garbage":                       {"garbage\n", false},
		"garbage at the end":            {foreign + "\ngarbage\n", false},
		"two words":                     {"two words\n", false},
		"half a key":                    {foreign[:len(foreign)/2] + "\n", false},
		"a kind without a key":          {"ssh-ed25519\n", false},
		"a key without a kind":          {blob + "\n", false},
		"a key of the future":           {"ssh-future AAAACnNzaC1mdXR1cmU= x\n", false},
		"another kind than the key's":   {"ssh-rsa " + blob + "\n", false},
		"a kind in capital letters":     {strings.ToUpper("ssh-ed25519") + " " + blob + "\n", false},
		"options":                       {"from=\"*\" " + foreign + "\n", false},
		"a line of known_hosts":         {"web " + foreign + "\n", false},
		"a marker":                      {"@revoked * " + foreign + "\n", false},
		"a key and more bytes":          {"ssh-ed25519 " + base64.StdEncoding.EncodeToString(append(other.PublicKey().Marshal(), 0)) + "\n", false},
		"the kind of a signature":       {"rsa-sha2-512 " + strings.Fields(rsaLine(2048))[1] + "\n", true},
		"an RSA key":                    {rsaLine(2048), true},
		"an RSA key of 512 bits":        {rsaLine(512), true},
		"a blank line of Windows":       {"\r\n" + foreign + "\r\n", false},
		"quotes":                        {"\"" + foreign + "\"\n", false},
		"a space that is none":          {"\u00a0" + foreign + "\n", false},
		"a form feed":                   {"\f" + foreign + "\n", false},
		"a fingerprint":                 {ssh.FingerprintSHA256(other.PublicKey()) + "\n", false},
		"a key revocation list":         {string(whole), true},
		"a list behind a BOM":           {bom + string(whole), false},
		"the beginning of a list":       {string(whole[:6]), false},
		"a list in the text":            {foreign + "\n" + string(whole), false},
		"a list that is cut short":      {string(whole[:len(whole)-1]), false},
		"a list with more behind it":    {string(whole) + "x", false},
		"a list of another format":      {strings.Replace(string(whole), "\x00\x00\x00\x01", "\x00\x00\x00\x02", 1), false},
	}
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(b.public))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.dir, "list")
	config := connecttest.WriteFile(t, filepath.Join(b.dir, "config"), "RevokedHostKeys "+file+"\nKexAlgorithms curve25519-sha256\n"+b.base, 0o600)
	for name, list := range lists {
		connecttest.WriteFile(t, file, list.text, 0o600)
		reason, err := revokedBy(file, host)
		if (err == nil && reason == "") != list.want {
			t.Errorf("%s: revoked by %q, %v; wanted the host to be taken: %v", name, reason, err, list.want)
		}
		if out, err := exec.Command("ssh", "-F", config, "web", "true").CombinedOutput(); (err == nil) != list.want {
			t.Errorf("%s: ssh itself: %v, wanted success: %v\n%s", name, err, list.want, out)
		}
	}
	// ssh takes what is behind a zero byte for no part of the line. UTF-16 is full of them.
	connecttest.WriteFile(t, file, "\x00s\x00s\x00h\n", 0o600)
	if reason, err := revokedBy(file, host); err == nil {
		t.Errorf("a line that begins with a zero byte was understood: %q", reason)
	}
}
