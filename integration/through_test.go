//go:build linux

package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// A crossing is a way to reach a host behind others.
type crossing struct {
	name    string
	between []*lab.Running // the hosts on the way
	to      *lab.Running
	// cross makes the hops, each by hop, and returns the last context.
	cross func(hop hopper) *contexts.Node
}

// A hopper connects a child to a context.
type hopper func(parent *contexts.Node, m connect.Method) *contexts.Node

func (p *passage) crossings(t *testing.T) []crossing {
	bastion := []*lab.Running{p.bastion}
	both := []*lab.Running{p.bastion, p.inner}
	alice := p.native(p.bastion, "alice")
	known := knownHosts(t, p.target)
	return []crossing{
		{"Through", bastion, p.target, func(hop hopper) *contexts.Node {
			return hop(p.me, p.through(hop(p.me, alice)))
		}},
		{"Through, from a context further up", bastion, p.target, func(hop hopper) *contexts.Node {
			s := p.through(hop(p.me, alice))
			s.IdentityFiles, s.Keys, s.KnownHostsFiles = nil, []connect.Secret{connect.Secret(p.keys["carol"].Private)}, []string{known}
			return hop(p.self, s)
		}},
		{"Through, with a password", bastion, p.target, func(hop hopper) *contexts.Node {
			s := p.through(hop(p.me, alice))
			s.IdentityFiles, s.Password = []string{}, connect.Secret(p.password)
			return hop(p.me, s)
		}},
		{"Through, with a passphrase", bastion, p.target, func(hop hopper) *contexts.Node {
			s := p.through(hop(p.me, alice))
			s.IdentityFiles, s.Passphrase = []string{keyLocked}, connect.Secret(p.passphrase)
			return hop(p.me, s)
		}},
		{"Through, with an agent", bastion, p.target, func(hop hopper) *contexts.Node {
			s := p.through(hop(p.me, alice))
			s.IdentityFiles, s.NoAgent, s.IdentitiesOnly, s.AgentSocket = []string{}, false, false, agentSocket
			return hop(p.me, s)
		}},
		{"Through twice", both, p.deep, func(hop hopper) *contexts.Node {
			bob, dave := p.native(p.inner, "bob"), p.native(p.deep, "dave")
			bob.Through = hop(p.me, alice)
			dave.Through = hop(p.me, bob)
			return hop(p.me, dave)
		}},
		{"Through, and a ProxyJump from there", both, p.deep, func(hop hopper) *contexts.Node {
			bob, s := p.native(p.inner, "bob"), p.native(p.deep, "dave")
			bob.Through = hop(p.me, alice)
			s.ProxyJump = []ssh.Login{bob}
			return hop(p.me, s)
		}},
		{"ProxyJump", bastion, p.target, func(hop hopper) *contexts.Node {
			s := p.native(p.target, "carol")
			s.ProxyJump = []ssh.Login{alice}
			return hop(p.me, s)
		}},
		{"ProxyJump twice", both, p.deep, func(hop hopper) *contexts.Node {
			s := p.native(p.deep, "dave")
			s.ProxyJump = []ssh.Login{alice, p.native(p.inner, "bob")}
			return hop(p.me, s)
		}},
		{"ProxyJump of the configuration", both, p.deep, func(hop hopper) *contexts.Node {
			return hop(p.me, ssh.Login{Host: "deep", ConfigFile: fileOfConfig, NoAgent: true})
		}},
		{"ProxyCommand", bastion, p.target, func(hop hopper) *contexts.Node {
			s := p.native(p.target, "carol")
			s.ProxyCommand = "ssh -F " + fileOfConfig + " -W %h:%p bastion"
			return hop(p.me, s)
		}},
		{"ssh -J", bastion, p.target, func(hop hopper) *contexts.Node {
			return hop(p.me, openssh.Login{
				Host: p.target.IP(), User: "carol", ConfigFile: fileOfConfig, ProxyJump: "bastion",
				IdentityFiles: []string{keyLocked}, Passphrase: connect.Secret(p.passphrase), IdentitiesOnly: true,
			})
		}},
		{"ssh with ProxyJump in its configuration", both, p.deep, func(hop hopper) *contexts.Node {
			return hop(p.me, openssh.Login{Host: "deep", ConfigFile: fileOfConfig})
		}},
	}
}

// A host in between never sees a private key, a passphrase, a password, or a byte in the clear of
// the traffic beyond it. It may have a context of ours or only an ssh server that forwards.
func TestTheHostInBetweenSeesCiphertext(t *testing.T) {
	t.Parallel()
	p := newPassage(t)
	startAgent(t, p.client, p.passphrase, keyLocked)
	for _, c := range p.crossings(t) {
		t.Run(c.name, func(t *testing.T) { p.observe(t, c) })
	}
	t.Run("what is there is found", p.control)
}

// observe makes the hops of a crossing and talks to the last context. Meanwhile it looks for
// secrets on the hosts on the way, and on their links.
func (p *passage) observe(t *testing.T, c crossing) {
	token := newToken()
	h := p.hunt(token)
	var watches []*watch
	var captures []*lab.Capture
	var scenes []scene
	for _, host := range c.between {
		scenes = append(scenes, look(host))
		captures = append(captures, capture(t, host))
		watches = append(watches, startWatch(t, host, p.eyes[host], h))
	}
	scenes = append(scenes, look(c.to))

	var made []*contexts.Node
	last := c.cross(func(n *contexts.Node, m connect.Method) *contexts.Node {
		made = append(made, child(t, n, m))
		return made[len(made)-1]
	})
	if id := who(t, last); id.Host != c.to.Name() {
		t.Fatalf("the last context is %+v, want one on %s", id, c.to.Name())
	}
	talk := startTalk(t, last, token)
	for _, w := range watches {
		w.end(t)
	}
	calls := talk.end(t)
	for i := len(made) - 1; i >= 0; i-- {
		if err := made[i].Close(); err != nil {
			t.Error(err)
		}
	}
	for _, s := range scenes {
		s.restored(t, deathBudget)
	}
	for i, capture := range captures {
		flows := stop(t, capture)
		for _, n := range h.Needles {
			for _, f := range carrying(flows, n) {
				t.Errorf("%s was sent in the clear from %v to %v, want it encrypted", n.Name, f.From, f.To)
			}
		}
		// The talk has passed here, encrypted or not.
		ends := append(slices.Clone(c.between), c.to)
		here, next := ends[i], ends[i+1]
		for _, way := range [][2]*lab.Running{{here, next}, {next, here}} {
			if n := volume(flows, way[0], way[1]); n < calls*len(token) {
				t.Errorf("%d bytes went from %s to %s, want at least the %d calls of %d bytes", n, way[0].Name(), way[1].Name(), calls, len(token))
			}
		}
	}
}

// newToken makes the random text of a talk. It is so long that no other text can equal it.
func newToken() []byte { return []byte(rand.Text() + rand.Text() + rand.Text() + rand.Text()) }

// hunt returns a hunt for the secrets that must stay at the client, and for the text of the talk.
func (p *passage) hunt(said []byte) hunt {
	return hunt{Needles: append([]needle{{"the text of the talk", said}}, p.needles...), Memory: true}
}

func capture(t *testing.T, host *lab.Running) *lab.Capture {
	t.Helper()
	c, err := host.Capture()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stop ends a capture.
func stop(t *testing.T, c *lab.Capture) []lab.Flow {
	t.Helper()
	flows, err := c.Stop()
	if err != nil {
		t.Fatal(err)
	}
	return flows
}

// carrying returns the flows that have a needle in them.
func carrying(flows []lab.Flow, n needle) (with []lab.Flow) {
	for _, f := range flows {
		if bytes.Contains(f.Data, n.Bytes) {
			with = append(with, f)
		}
	}
	return with
}

// volume returns the number of bytes that one host sent to another.
func volume(flows []lab.Flow, from, to *lab.Running) (n int) {
	for _, f := range flows {
		if f.From.Addr().String() == from.IP() && f.To.Addr().String() == to.IP() {
			n += len(f.Data)
		}
	}
	return n
}

// A talk is a series of calls. Their argument and result is a token.
type talk struct {
	stop  context.CancelFunc
	done  sync.WaitGroup
	calls int
	err   error
}

func startTalk(t *testing.T, n *contexts.Node, token []byte) *talk {
	ctx, cancel := context.WithCancel(t.Context())
	k := &talk{stop: cancel}
	k.done.Go(func() {
		for ctx.Err() == nil {
			var got []byte
			if got, k.err = echo.Call(context.WithoutCancel(ctx), n, token); k.err != nil {
				return
			}
			if !bytes.Equal(got, token) {
				k.err = fmt.Errorf("%q came back, want %q", got, token)
				return
			}
			k.calls++
		}
	})
	t.Cleanup(func() { k.stop(); k.done.Wait() })
	return k
}

// end ends the talk, and returns the number of its calls.
func (k *talk) end(t *testing.T) int {
	t.Helper()
	k.stop()
	k.done.Wait()
	if k.err != nil {
		t.Errorf("the talk failed after %d calls: %v", k.calls, k.err)
	}
	return k.calls
}

// control checks that observe would find secrets. Here the bastion itself makes the hop, and gets
// all secrets that it must not have otherwise.
func (p *passage) control(t *testing.T) {
	token := newToken()
	h := p.hunt(token)
	wire := capture(t, p.bastion)
	bastion := child(t, p.me, p.native(p.bastion, "alice"))
	hop := p.native(p.target, "carol")
	hop.IdentityFiles, hop.Keys = nil, []connect.Secret{connect.Secret(p.keys["carol"].Private)}
	hop.HostKeys = connect.InsecureIgnoreHostKeys
	talk := startTalk(t, child(t, bastion, hop), token)

	var all []byte
	for _, n := range p.needles {
		all = append(all, n.Bytes...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	kept := keep.Go(ctx, bastion, all)

	// The token is also in the other places that are searched.
	script := `echo $1 >/tmp/there; exec 9<>/tmp/gone; rm /tmp/gone; echo $1 >&9; read end; rm /tmp/there`
	cmd := p.bastion.Command(t.Context(), "/bin/sh", "-c", script, "sh", string(token))
	cmd.Env = append(cmd.Env, "TOKEN="+string(token))
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}

	missing := map[string]bool{}
	for _, n := range h.Needles {
		missing[n.Name+" in memory of a context"] = true
	}
	for _, place := range []string{"memory of sshd", "memory of sh", "cmdline of sh", "environ of sh", "unnamed file of sh", "/tmp/there"} {
		missing["the text of the talk in "+place] = true
	}
	t.Cleanup(func() {
		for what := range missing {
			t.Errorf("the search has not found %s, want it found", what)
		}
	})
	eventually(t, patience, "all secrets are found in all places", func() bool {
		h.Files = p.bastion.Upper()
		found, err := seek.Call(t.Context(), p.eyes[p.bastion], h)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			where := f.Place
			switch f.Process {
			case "":
			case "exe": // the executable of a context, in memory
				where += " of a context"
			default:
				where += " of " + f.Process
			}
			delete(missing, f.Needle+" in "+where)
		}
		return len(missing) == 0
	})

	if calls := talk.end(t); calls == 0 {
		t.Error("the talk has made no call, want some")
	}
	cancel()
	if _, err := kept.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("the call that kept the secrets ended with %v, want %v", err, context.Canceled)
	}
	if err := errors.Join(input.Close(), cmd.Wait(), bastion.Close()); err != nil {
		t.Error(err)
	}

	// And on the wire.
	listener, err := lab.Listen("tcp", lab.StationIP+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sent, err := p.bastion.Dial(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer sent.Close()
	received, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer received.Close()
	all = append(all, token...)
	if _, err := sent.Write(all); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(received, make([]byte, len(all))); err != nil {
		t.Fatal(err)
	}
	flows := stop(t, wire)
	for _, n := range h.Needles {
		if with := carrying(flows, n); len(with) != 1 || with[0].To.String() != listener.Addr().String() {
			t.Errorf("%s was found in %d flows, want one, to %s", n.Name, len(with), listener.Addr())
		}
	}
}

// keep holds its argument in memory until it is cancelled.
var keep = contexts.NewFunc("lab.keep", func(ctx context.Context, b []byte) (int, error) {
	<-ctx.Done()
	return len(b), ctx.Err()
})
