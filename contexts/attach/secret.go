package attach

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Secret proves that a process may be the master of a detached context. It prints as a
// placeholder; use [Secret.MarshalText] to keep it.
type Secret [32]byte

// String hides the secret.
func (Secret) String() string { return "(secret)" }

// GoString hides it from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText returns the secret in hexadecimal digits.
func (s Secret) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads the digits that MarshalText returns.
func (s *Secret) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(s) || len(b)%2 != 0 {
		return fmt.Errorf("a secret has %d hexadecimal digits, not %d", hex.EncodedLen(len(s)), len(b))
	}
	_, err := hex.Decode(s[:], b)
	return err
}

type (
	nonce [32]byte
	sum   [sha256.Size]byte
)

func newRandom() (b [32]byte) {
	rand.Read(b[:]) // never fails
	return b
}

// The sides of the talk. Each proves a text of its own, so that neither proof can stand
// for the other.
const (
	masterSide  = "mitosis master 1"
	contextSide = "mitosis context 1"
)

// proofs are the parts of the texts that both sides prove.
type proofs struct {
	secret          Secret
	context, master nonce
	tree            [16]byte
	fingerprint     [32]byte
}

// by returns the proof that a side knows the secret in this talk.
func (p *proofs) by(side string) (s sum) {
	h := hmac.New(sha256.New, p.secret[:])
	h.Write([]byte(side))
	for _, part := range [][]byte{p.context[:], p.master[:], p.tree[:], p.fingerprint[:]} {
		h.Write(part) // all of fixed length
	}
	h.Sum(s[:0])
	return s
}

// check compares a proof in a time that does not depend on it.
func (p *proofs) check(side string, s sum) error {
	want := p.by(side)
	if !hmac.Equal(want[:], s[:]) {
		return ErrSecret
	}
	return nil
}
