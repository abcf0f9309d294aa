//go:build linux

package integration

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// A passage is a network in which some hosts are reached only through others. The client reaches
// only the bastion, and the arrows show the connections from there. Every account has a key of its
// own, and all keys are at the client.
//
//	me@client -> alice@bastion -> carol@target
//	                           -> bob@inner -> dave@deep
type passage struct {
	client, bastion, inner, target, deep *lab.Running

	keys       map[string]lab.ClientKey // by user
	password   string                   // carol's
	passphrase string                   // of the key that carol has besides
	needles    []needle                 // secrets that must stay at the client

	// Contexts that all cases share.
	self *contexts.Node // the master, in the test process
	me   *contexts.Node // at the client: makes the hops
	eyes map[*lab.Running]*contexts.Node
}

// Files of the client.
const (
	homeOfMe     = "/home/me/"
	fileKnown    = homeOfMe + "known_hosts"
	fileOfConfig = homeOfMe + "config"
	keyLocked    = homeOfMe + "locked"
)

// newPassage makes a passage for a test.
func newPassage(t *testing.T) *passage {
	t.Helper()
	lab.Require(t)
	p := &passage{
		keys:     map[string]lab.ClientKey{},
		password: "password-" + rand.Text(), passphrase: "passphrase-" + rand.Text(),
		eyes: map[*lab.Running]*contexts.Node{},
	}
	locked, authorized := encryptedKey(t, p.passphrase)
	files := map[string]string{keyLocked: locked}
	for _, user := range []string{"alice", "bob", "carol", "dave"} {
		p.keys[user] = lab.NewClientKey(t)
		files[homeOfMe+user] = p.keys[user].Private
		p.needles = append(p.needles, keyNeedles(t, user+"'s key", p.keys[user].Private, "")...)
	}
	p.needles = append(p.needles, keyNeedles(t, "the key with a passphrase", locked, p.passphrase)...)
	p.needles = append(p.needles, needle{"the password", []byte(p.password)}, needle{"the passphrase", []byte(p.passphrase)})

	account := func(name string) lab.User { return lab.User{Name: name, Keys: []string{p.keys[name].Authorized}} }
	carol := account("carol")
	carol.Password, carol.Keys = p.password, append(carol.Keys, authorized)
	p.bastion = start(t, lab.Host{Name: "bastion", Users: []lab.User{account("alice")}, SSHD: &lab.SSHD{}})
	p.inner = start(t, lab.Host{Name: "inner", Users: []lab.User{account("bob")}, SSHD: &lab.SSHD{}})
	p.target = start(t, lab.Host{Name: "target", Users: []lab.User{carol}, SSHD: &lab.SSHD{}, Sudoers: "carol ALL=(ALL) ALL"})
	p.deep = start(t, lab.Host{Name: "deep", Users: []lab.User{account("dave")}, SSHD: &lab.SSHD{}})
	servers := []*lab.Running{p.bastion, p.inner, p.target, p.deep}
	config := new(strings.Builder)
	for i, user := range []string{"alice", "bob", "carol", "dave"} {
		files[fileKnown] += servers[i].KnownHosts()
		fmt.Fprintf(config, "Host %s\nHostName %s\nUser %s\nIdentityFile %s\n", servers[i].Name(), servers[i].IP(), user, homeOfMe+user)
	}
	fmt.Fprintf(config, "Host target\nProxyJump bastion\nHost deep\nProxyJump bastion,inner\n")
	fmt.Fprintf(config, "Host *\nIdentitiesOnly yes\nUserKnownHostsFile %s\nGlobalKnownHostsFile none\n", fileKnown)
	files[fileOfConfig] = config.String()
	p.client = start(t, lab.Host{Name: "client", Users: []lab.User{{Name: "me"}}, Files: files})
	for _, pair := range [][2]*lab.Running{
		{p.target, nil}, {p.target, p.client}, {p.target, p.inner}, {p.target, p.deep},
		{p.inner, nil}, {p.inner, p.client}, {p.deep, nil}, {p.deep, p.client}, {p.deep, p.bastion},
	} {
		if err := pair[0].CutFrom(pair[1]); err != nil {
			t.Fatal(err)
		}
	}

	p.self = master(t, nil)
	p.me = enter(t, p.self, p.client, "me")
	for _, h := range []*lab.Running{p.bastion, p.inner} {
		p.eyes[h] = enter(t, p.self, h, "")
	}
	return p
}

// keyNeedles returns the needles by which a private key is found: the secret half, and each line
// of the key's file that has a part of it.
func keyNeedles(t *testing.T, name, file, passphrase string) []needle {
	t.Helper()
	var key any
	var err error
	if passphrase == "" {
		key, err = cryptossh.ParseRawPrivateKey([]byte(file))
	} else {
		key, err = cryptossh.ParseRawPrivateKeyWithPassphrase([]byte(file), []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	needles := []needle{{name + " (the seed)", key.(*ed25519.PrivateKey).Seed()}}
	lines := strings.Split(strings.TrimSpace(file), "\n")
	// The first lines have only the kinds of cipher and key, and the public key.
	for _, line := range lines[3 : len(lines)-1] {
		if len(line) > 40 {
			needles = append(needles, needle{name + " (its file)", []byte(line)})
		}
	}
	if len(needles) < 2 {
		t.Fatalf("the key file of %s makes %d needles, want at least 2", name, len(needles))
	}
	return needles
}

// native returns the hop to a user's host by our own ssh client at the client host.
func (p *passage) native(host *lab.Running, user string) ssh.Login {
	return ssh.Login{
		Host: host.IP(), User: user, NoConfig: true, NoAgent: true, IdentitiesOnly: true,
		IdentityFiles: []string{homeOfMe + user}, KnownHostsFiles: []string{fileKnown},
	}
}

// through returns the hop to the target through a context.
func (p *passage) through(n *contexts.Node) ssh.Login {
	s := p.native(p.target, "carol")
	s.Through = n
	return s
}
