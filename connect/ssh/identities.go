package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// identities collects what may be offered, in this order:
//
//  1. certificates whose key is at hand,
//  2. agent keys that are named in the method or the configuration,
//  3. named keys that the agent does not have,
//  4. the agent's other keys, unless identities are restricted,
//  5. the usual key files.
//
// This is ssh's order with one difference: ssh puts 3 behind 4. If the agent holds many keys,
// the server then ends the connection before the named key is offered.
func (a *authenticator) identities() []identity {
	var files []identity
	for i, text := range a.method.Keys {
		id, err := a.keys.fromPEM(fmt.Sprintf("Keys[%d]", i), text)
		if err != nil {
			a.note("%s: %v", id.name, err)
			continue
		}
		files = append(files, id)
	}
	for _, file := range a.set.identityFiles {
		id, err := a.keys.fromFile(file)
		if err != nil {
			if file.explicit || !errors.Is(err, fs.ErrNotExist) {
				a.note("%s: %v", id.name, err)
			}
			continue
		}
		files = append(files, id)
	}
	inAgent := a.agentIdentities()

	var ordered []identity
	ordered = append(ordered, a.certificates(files, inAgent)...)
	named := func(key ssh.PublicKey) bool {
		for i := range files {
			if files[i].is(key) {
				return true
			}
		}
		return false
	}
	for _, id := range inAgent {
		if named(id.public) {
			ordered = append(ordered, id)
		}
	}
	isHeld := func(id identity) bool {
		for i := range inAgent {
			if id.public != nil && inAgent[i].is(id.public) {
				return true
			}
		}
		return false
	}
	for _, id := range files {
		if id.signer == nil && !isHeld(id) {
			a.note("%s: %v", id.name, cmp.Or(id.lacks, errOnlyPublic))
		}
	}
	onlyInFiles := func(explicit bool) {
		for _, id := range files {
			if !isHeld(id) && id.signer != nil && id.explicit == explicit {
				ordered = append(ordered, id)
			}
		}
	}
	onlyInFiles(true)
	if !a.set.identitiesOnly {
		for _, id := range inAgent {
			if !named(id.public) {
				ordered = append(ordered, id)
			}
		}
	}
	onlyInFiles(false)
	return ordered
}

// errOnlyPublic: only the public half of a key was found.
var errOnlyPublic = errors.New("only its public half is here, and no agent has the other")

// certificates pairs every certificate with its private key.
func (a *authenticator) certificates(files, inAgent []identity) []identity {
	type source struct {
		text  string
		named bool
	}
	var sources []source
	for _, text := range a.set.certificateFiles {
		sources = append(sources, source{text, true})
	}
	for _, file := range a.set.identityFiles {
		sources = append(sources, source{file.path + "-cert.pub", false})
	}
	var found []identity
	for _, src := range sources {
		cert, err := loadCertificate(src.text)
		if err != nil {
			if src.named {
				a.note("certificate %.80s: %v", src.text, err)
			}
			continue
		}
		name := fmt.Sprintf("certificate %q", cert.KeyId)
		paired := false
		for _, id := range append(append([]identity(nil), files...), inAgent...) {
			if id.signer == nil || !id.is(cert.Key) {
				continue
			}
			found = append(found, identity{name: name, public: cert, explicit: src.named, signer: func() (ssh.Signer, error) {
				signer, err := id.signer()
				if err != nil {
					return nil, err
				}
				return ssh.NewCertSigner(cert, signer)
			}})
			paired = true
			break
		}
		if !paired && src.named {
			a.note("%s: its private key is not at hand", name)
		}
	}
	return found
}

// agentIdentities lists the agent's keys. If the agent can't be reached, that is noted and is
// no error.
func (a *authenticator) agentIdentities() []identity {
	if a.set.agentSocket == "" {
		return nil
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(a.ctx, "unix", a.set.agentSocket)
	if err != nil {
		a.note("agent: %v", err)
		return nil
	}
	a.agent = conn
	// An agent may wait for a person to touch a token, or hang.
	a.agentStop = context.AfterFunc(a.ctx, func() { conn.Close() })
	// Hiding Close keeps the client from starting a goroutine for requests in
	// flight, of which we have one.
	signers, err := agent.NewClient(struct{ io.ReadWriter }{conn}).Signers()
	if err != nil {
		a.note("agent: %v", err)
		return nil
	}
	var found []identity
	for _, signer := range signers {
		name := "agent key " + ssh.FingerprintSHA256(signer.PublicKey())
		if key, ok := signer.PublicKey().(*agent.Key); ok && key.Comment != "" {
			name = "agent key " + key.Comment
		}
		found = append(found, identity{name: name, public: signer.PublicKey(),
			signer: func() (ssh.Signer, error) { return signer, nil }})
	}
	return found
}

// closeAgent ends the connection to the agent; the keys have been used by then.
func (a *authenticator) closeAgent() {
	if a.agent != nil {
		a.agentStop()
		a.agent.Close()
		a.agent = nil
	}
}
