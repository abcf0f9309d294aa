package ssh

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"

	"golang.org/x/crypto/ssh"
)

// listedKey reads a line of a list of revoked keys: a type, a key, and a comment. It is as strict
// as ssh: options or names of hosts in front of the key are an error, and so is another type
// than that of the key.
func listedKey(line []byte) (ssh.PublicKey, error) {
	kind, rest := cutBlank(line)
	encoded, _ := cutBlank(bytes.TrimLeft(rest, " \t"))
	blob, err := base64.StdEncoding.DecodeString(string(encoded)) // passes the \r of a Windows line over
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(signatureAlgorithms(key.Type()), string(kind)) {
		return nil, errors.New("the key is of another kind than the line says")
	}
	return key, nil
}

// cutBlank cuts a text at its first blank.
func cutBlank(text []byte) (before, after []byte) {
	if i := bytes.IndexAny(text, " \t"); i >= 0 {
		return text[:i], text[i:]
	}
	return text, nil
}
