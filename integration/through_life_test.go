//go:build linux

package integration

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
	"github.com/mitosis-go/mitosis/router"
)

// A context that is reached through another works like any other, until the connection through
// the other ends.
func TestThroughAContext(t *testing.T) {
	t.Parallel()
	p := newPassage(t)
	t.Run("several through one", p.severalThroughOne)
	t.Run("onward from there", p.onward)
	t.Run("no way", p.noWay)
	t.Run("the way dies", p.wayDies)
	t.Run("the way is cut", p.wayIsCut)
}

// wayDies kills the context through which another was reached. The other is gone then, and no
// process of either is left, whichever context made the hop.
func (p *passage) wayDies(t *testing.T) {
	carol := p.native(p.target, "carol")
	carol.IdentityFiles, carol.Keys = nil, []connect.Secret{connect.Secret(p.keys["carol"].Private)}
	carol.KnownHostsFiles = []string{knownHosts(t, p.target)}
	for name, test := range map[string]struct {
		by     *contexts.Node
		hop    ssh.Login
		victim func(identity) int
	}{
		"its worker":                          {p.me, p.native(p.target, "carol"), func(id identity) int { return id.PID }},
		"its guard":                           {p.me, p.native(p.target, "carol"), func(id identity) int { return parentOn(t, p.bastion, id.PID) }},
		"its worker, the hop being another's": {p.self, carol, func(id identity) int { return id.PID }},
	} {
		t.Run(name, func(t *testing.T) {
			scenes := []scene{look(p.bastion), look(p.target), look(p.client)}
			bastion := child(t, p.me, p.native(p.bastion, "alice"))
			test.hop.Through = bastion
			target := child(t, test.by, test.hop)
			below := child(t, target, local.Child{})
			if _, err := spawn.Call(t.Context(), below, []string{"setsid", "sleep", "1000"}); err != nil {
				t.Fatal(err)
			}
			kept := keep.Go(t.Context(), below, nil)
			victim := test.victim(who(t, bastion))
			died := time.Now()
			kill(t, p.bastion, syscall.SIGKILL, victim)
			for _, n := range []*contexts.Node{bastion, target, below} {
				expectGone(t, n, deathBudget)
				if _, err := echo.Call(t.Context(), n, nil); !errors.Is(err, contexts.ErrGone) {
					t.Errorf("a call to %v ended with %v, want %v", n, err, contexts.ErrGone)
				}
			}
			if _, err := kept.Wait(); !errors.Is(err, contexts.ErrGone) {
				t.Errorf("the call under way ended with %v, want %v", err, contexts.ErrGone)
			}
			t.Logf("known after %v: %v", time.Since(died), target.Err())
			for _, s := range scenes {
				s.restored(t, deathBudget)
			}
			who(t, p.me)
		})
	}
}

// wayIsCut silently cuts the connection to the context in between. The contexts behind it are gone
// as soon as that context's heartbeat is missed.
func (p *passage) wayIsCut(t *testing.T) {
	const heartbeat, missed = 200 * time.Millisecond, 3
	self := master(t, &contexts.Config{Limits: router.Limits{Heartbeat: heartbeat, Missed: missed}})
	me := enter(t, self, p.client, "me")
	before, onBastion := look(p.target), look(p.bastion)
	bastion := child(t, me, p.native(p.bastion, "alice"))
	target := child(t, me, p.through(bastion))
	kept := keep.Go(t.Context(), target, nil)
	if err := p.bastion.CutFrom(p.client); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*contexts.Node{bastion, target} {
		expectGone(t, n, missed*heartbeat+deathBudget)
	}
	if _, err := kept.Wait(); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("the call under way ended with %v, want %v", err, contexts.ErrGone)
	}
	// The bastion's context has lost its parent, and its connection to the target
	// ends with it.
	before.restored(t, missed*heartbeat+deathBudget)
	who(t, me)
	// sshd notices the loss only when the network is back.
	if err := p.bastion.HealFrom(p.client); err != nil {
		t.Fatal(err)
	}
	onBastion.restored(t, patience)
}

// parentOn returns the process ID of a process's parent on a host.
func parentOn(t *testing.T, host *lab.Running, pid int) int {
	t.Helper()
	for _, p := range host.Processes() {
		if p.PID == pid {
			return p.PPID
		}
	}
	t.Fatalf("%s has no process %d, want its parent", host.Name(), pid)
	return 0
}

// noWay makes hops through contexts that can't lead to the target. They fail at once with the
// reason.
func (p *passage) noWay(t *testing.T) {
	bastion := child(t, p.me, p.native(p.bastion, "alice"))
	closed := child(t, p.me, p.native(p.bastion, "alice"))
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	stranger := enter(t, master(t, nil), p.bastion, "")
	for name, test := range map[string]struct {
		by     *contexts.Node
		way    connect.Dialer
		reason error
	}{
		"closed":                 {p.me, closed, contexts.ErrGone},
		"closed, by the master":  {p.self, closed, contexts.ErrGone},
		"the parent":             {p.me, p.self, contexts.ErrRefused},
		"of another tree":        {p.me, stranger, connect.ErrStart},
		"nothing":                {p.me, (*contexts.Node)(nil), connect.ErrStart},
		"nothing, by the master": {p.self, (*contexts.Node)(nil), connect.ErrStart},
		"a dialer of the master": {p.me, labDialer{}, connect.ErrStart},
	} {
		t.Run(name, func(t *testing.T) {
			hop := p.native(p.target, "carol")
			hop.Through = test.way
			told(t, refused(t, test.by, hop, test.reason, soon), "carol@", p.target.IP())
			who(t, test.by)
		})
	}
	t.Run("nobody listens there", func(t *testing.T) {
		hop := p.native(p.target, "carol")
		hop.Through, hop.Port = bastion, 1
		told(t, refused(t, p.me, hop, connect.ErrRefused, soon), "carol@", bastion.String())
	})
	t.Run("no answer from there", func(t *testing.T) {
		hop := p.native(p.deep, "dave")
		hop.Through, hop.ConnectTimeout = bastion, 500*time.Millisecond
		told(t, refused(t, p.me, hop, connect.ErrTimeout, soon), "dave@", "dial")
	})
}

// severalThroughOne reaches several hosts through one context at the same time. The end of one
// does not affect the others.
func (p *passage) severalThroughOne(t *testing.T) {
	scenes := []scene{look(p.bastion), look(p.target), look(p.inner)}
	bastion := child(t, p.me, p.native(p.bastion, "alice"))
	hops := []ssh.Login{p.native(p.target, "carol"), p.native(p.inner, "bob")}
	type result struct {
		n   *contexts.Node
		err error
	}
	made := make([]chan result, len(hops))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i, hop := range hops {
		hop.Through = bastion
		made[i] = make(chan result, 1)
		go func() {
			n, err := p.me.Connect(ctx, hop)
			made[i] <- result{n, err}
		}()
	}
	var nodes []*contexts.Node
	var talks []*talk
	for i := range hops {
		r := <-made[i]
		if r.err != nil {
			t.Fatal(r.err)
		}
		nodes = append(nodes, r.n)
		talks = append(talks, startTalk(t, r.n, newToken()))
	}
	for i, host := range []*lab.Running{p.target, p.inner} {
		if id := who(t, nodes[i]); id.Host != host.Name() {
			t.Errorf("the context is %+v, want one on %s", id, host.Name())
		}
	}
	if talks[0].end(t) == 0 {
		t.Error("the first context has answered no call, want some")
	}
	if err := nodes[0].Close(); err != nil {
		t.Error(err)
	}
	who(t, nodes[1])
	if talks[1].end(t) == 0 {
		t.Error("the second context has answered no call, want some")
	}
	if err := errors.Join(nodes[1].Close(), bastion.Close()); err != nil {
		t.Error(err)
	}
	for _, s := range scenes {
		s.restored(t, deathBudget)
	}
}

// onward makes further hops from a host that was reached through another.
func (p *passage) onward(t *testing.T) {
	before := look(p.target)
	bastion := child(t, p.me, p.native(p.bastion, "alice"))
	hop := p.native(p.target, "carol")
	hop.Through = bastion
	target := child(t, p.me, hop)
	root := child(t, target, become.Sudo{Password: connect.Secret(p.password)})
	leaf := child(t, root, local.Child{})
	id := who(t, leaf)
	if want := p.me.String() + "/ssh:carol@" + p.target.IP() + "/sudo:root/local"; id.Path != want || id.UID != 0 || id.Host != p.target.Name() {
		t.Errorf("the context is %+v, want root's at %s", id, want)
	}
	if _, err := report.Call(t.Context(), leaf, occupation{Topic: t.Name(), Tell: p.self}); err != nil {
		t.Fatal(err)
	}
	if n := board.await(t, "hello"); n.From != leaf.String() {
		t.Errorf("the master was called by %+v, want %v", n, leaf)
	}
	// A server that listens only on that host can be reached from here.
	if conn, err := root.DialContext(t.Context(), "tcp", "127.0.0.1:22"); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
	if err := errors.Join(target.Close(), bastion.Close()); err != nil {
		t.Error(err)
	}
	before.restored(t, deathBudget)
}
