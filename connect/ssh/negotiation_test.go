//go:build linux

package ssh

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
)

// Where client and server have no algorithm in common, the error says what to do: name
// one that the client has, or let the ssh program connect.
func TestAFailedNegotiationSaysTheWayOut(t *testing.T) {
	connecttest.CheckLeaks(t)
	const another = "a hop by openssh:HOST"
	for _, c := range []struct{ server, config, says, without string }{
		{"Ciphers aes256-ctr\nMACs umac-128-etm@openssh.com", "", another, "+"},
		{"Ciphers aes256-ctr\nMACs hmac-sha1-etm@openssh.com", "", another, "+"},
		{"KexAlgorithms sntrup761x25519-sha512@openssh.com", "", another, "+"},
		{"KexAlgorithms diffie-hellman-group18-sha512", "", another, "+"},
		{"Ciphers aes192-cbc", "", another, "+"},
		// Of the two ssh takes the first, which is not weak.
		{"KexAlgorithms diffie-hellman-group18-sha512,diffie-hellman-group14-sha1", "", "KexAlgorithms +diffie-hellman-group14-sha1; it is weak, and " + another, ""},
		{"Ciphers aes256-cbc,aes128-cbc", "", "Ciphers +aes128-cbc; it is weak", ""},
		{"Ciphers aes256-ctr\nMACs umac-64@openssh.com,hmac-sha1-96", "", "MACs +hmac-sha1-96; it is weak", ""},
		// ssh does not connect either.
		{"Ciphers aes256-ctr", "Ciphers aes128-ctr", "Ciphers +aes256-ctr", another},
		{"", "HostKeyAlgorithms rsa-sha2-512", "HostKeyAlgorithms +ssh-ed25519", another},
	} {
		b := newBesideSSH(t, c.server)
		config := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), c.config+"\n"+b.base, 0o600)
		_, err := dialSSH(t, Login{Host: "web", ConfigFile: config}, testEnv("true"))
		_, hint, _ := strings.Cut(fmt.Sprint(err), "peer offered")
		if !errors.Is(err, connect.ErrStart) || !strings.Contains(hint, c.says) || c.without != "" && strings.Contains(hint, c.without) {
			t.Errorf("%q, %q: %v; it should say %q, and not %q", c.server, c.config, err, c.says, c.without)
		}
	}
}
