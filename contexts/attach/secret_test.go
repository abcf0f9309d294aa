package attach

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"testing"
)

// TestProofs holds what is proved against a second reading of docs/protocol.md, and
// against every change of a part of it.
func TestProofs(t *testing.T) {
	p := proofs{secret: newRandom(), context: newRandom(), master: newRandom(), fingerprint: newRandom()}
	p.tree[3] = 7
	text := slices.Concat([]byte("mitosis master 1"), p.context[:], p.master[:], p.tree[:], p.fingerprint[:])
	h := hmac.New(sha256.New, p.secret[:])
	h.Write(text)
	right := p.by(masterSide)
	if !hmac.Equal(right[:], h.Sum(nil)) || p.check(masterSide, right) != nil {
		t.Error("want the HMAC of docs/protocol.md, and that it passes")
	}
	if p.check(contextSide, right) == nil {
		t.Error("a proof of the master passes for the context, want that it fails")
	}
	for name, change := range map[string]func(*proofs){
		"secret":      func(p *proofs) { p.secret[31] ^= 1 },
		"context":     func(p *proofs) { p.context[0] ^= 1 },
		"master":      func(p *proofs) { p.master[31] ^= 128 },
		"tree":        func(p *proofs) { p.tree[0] ^= 1 },
		"fingerprint": func(p *proofs) { p.fingerprint[5] ^= 1 },
		"order":       func(p *proofs) { p.context, p.master = p.master, p.context },
	} {
		q := p
		change(&q)
		if q.check(masterSide, right) == nil {
			t.Errorf("a proof with another %s passes, want that it fails", name)
		}
	}
}

func TestSecretsAreKept(t *testing.T) {
	d := Detached{Secret: newRandom(), Socket: "@x", Path: "ssh:web1"}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var again Detached
	if err := json.Unmarshal(b, &again); err != nil || again != d {
		t.Errorf("read again: %+v, %v; want %+v", again, err, d)
	}
	for _, text := range []string{"", "00", "zz" + string(make([]byte, 62)), string(make([]byte, 65))} {
		if err := new(Secret).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as a secret, want an error", text)
		}
	}
}
