package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
)

// maxRevokedFile bounds a file of revoked keys, as OpenSSH does, in bytes.
const maxRevokedFile = 128 << 20

// checkRevoked applies RevokedHostKeys. It refuses a key that one of the files revokes, and every
// key if a file can't be read or parsed.
func (v *hostVerifier) checkRevoked(key ssh.PublicKey) error {
	for _, name := range v.set.revoked {
		reason, err := revokedBy(name, key)
		if err != nil {
			return v.refuse(connect.ErrHostKey, "RevokedHostKeys can't be checked: %v", err)
		}
		if reason != "" {
			return v.refuse(ErrHostKeyRevoked, "its key %s is revoked by %s (%s)", describeKey(key), v.of(name), reason)
		}
	}
	return nil
}

// revokedBy returns the entry of a file that revokes a key, "" if none does. The file is a key
// revocation list, or has a public key in each line. A certificate is revoked with its key, and
// with the authority that signed it.
func revokedBy(name string, key ssh.PublicKey) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRevokedFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxRevokedFile {
		return "", fmt.Errorf("%s: %w: more than %d bytes", name, errors.ErrUnsupported, maxRevokedFile)
	}
	if isKRL(text) {
		reason, err := krlRevokes(text, key)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		return reason, nil
	}
	var wanted [][]byte
	for _, k := range keysOf(key) {
		wanted = append(wanted, k.Marshal())
	}
	var unclear error
	for number, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimLeft(line, " \t")
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		public, err := listedKey(line)
		if err != nil {
			// It may be the line that revokes the key.
			if unclear == nil {
				unclear = fmt.Errorf("%s:%d: %.20q begins a line that is no public key: %w", name, number+1, line, err)
			}
			continue
		}
		for _, listed := range keysOf(public)[:1] {
			for _, blob := range wanted {
				if bytes.Equal(listed.Marshal(), blob) {
					return fmt.Sprintf("line %d", number+1), nil
				}
			}
		}
	}
	return "", unclear
}

// keysOf returns the plain keys in a key: itself, or that of a certificate and that of its
// authority.
func keysOf(key ssh.PublicKey) []ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return []ssh.PublicKey{cert.Key, cert.SignatureKey}
	}
	return []ssh.PublicKey{key}
}
