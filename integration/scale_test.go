//go:build linux

package integration

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// Ten generations: each context calls, and is called, over all the hops between.
func TestTenGenerations(t *testing.T) {
	const generations = 10
	children := childProcesses(t)
	log, _ := newJournal(t)
	self, err := contexts.Start(t.Context(), &contexts.Config{Log: log, MaxDepth: generations})
	if err != nil {
		t.Fatal(err)
	}
	line := []*contexts.Node{self}
	for i := range generations {
		n := child(t, line[i], local.Child{})
		if n.Parent() != line[i] {
			t.Errorf("the parent of %v is %v, want %v", n, n.Parent(), line[i])
		}
		if want := strings.TrimPrefix(strings.Repeat("/local", i+1), "/"); n.String() != want {
			t.Errorf("the path of generation %d is %v, want %s", i+1, n, want)
		}
		line = append(line, n)
	}
	last := line[generations]
	refused(t, last, local.Child{}, contexts.ErrTooDeep, patience)
	answers(t, last, os.Getuid())
	// From the last back to the first, and to the ones between.
	if _, err := report.Call(t.Context(), last, occupation{Topic: t.Name(), Tell: self}); err != nil {
		t.Error(err)
	}
	if n := board.await(t, "hello"); n.From != last.String() {
		t.Errorf("the caller was %s, want %v", n.From, last)
	}
	tree, err := self.Tree(t.Context())
	if err != nil || len(tree) != generations+1 {
		t.Errorf("the tree has %d contexts, error %v, want %d", len(tree), err, generations+1)
	}
	for i, info := range tree {
		if info.Node != line[i] || i > 0 && info.RTT == 0 && info.BytesSent == 0 {
			t.Errorf("context %d of the tree is %+v, want %v with the figures of a link", i, info, line[i])
		}
	}
	if _, err := last.Ping(t.Context()); err != nil {
		t.Error(err)
	}

	// The end of a context ends all contexts below it, and none above it.
	if err := line[5].Close(); err != nil {
		t.Error(err)
	}
	for _, n := range line[5:] {
		expectEnd(t, n)
	}
	answers(t, line[4], os.Getuid())
	if err := self.Close(); err != nil {
		t.Error(err)
	}
	if now := childProcesses(t); now != children {
		t.Errorf("the test has the processes %q, want those from before, %q", now, children)
	}
}

// expectEnd waits until a context is known to have ended, for any reason.
func expectEnd(t *testing.T, n *contexts.Node) {
	t.Helper()
	select {
	case <-n.Done():
	case <-time.After(patience):
		t.Fatalf("%v has not ended", n)
	}
}

// all connects many children at once and returns them. All connects must succeed.
func all(t *testing.T, self *contexts.Node, hops []connect.Method) []*contexts.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	nodes, errs := make([]*contexts.Node, len(hops)), make([]error, len(hops))
	start := time.Now()
	var wg sync.WaitGroup
	for i, m := range hops {
		wg.Go(func() { nodes[i], errs[i] = self.Connect(ctx, m) })
	}
	wg.Wait()
	t.Logf("%d contexts in %v", len(hops), time.Since(start))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return nodes
}

// everyone checks that all contexts answer to calls that are made at once.
func everyone(t *testing.T, nodes []*contexts.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := make(map[identity]bool)
	for n, r := range contexts.CallAll(ctx, whoami, nodes, struct{}{}) {
		if r.Err != nil {
			t.Errorf("the call to %v ended with %v, want no error", n, r.Err)
		}
		seen[r.Value] = true
	}
	if len(seen) != len(nodes) {
		t.Errorf("%d contexts gave %d different answers, want one of each", len(nodes), len(seen))
	}
}

// Two hundred children of one context start at once, answer, and end.
func TestTwoHundredChildren(t *testing.T) {
	before, children := holding(t), childProcesses(t)
	log, _ := newJournal(t)
	self, err := contexts.Start(t.Context(), &contexts.Config{Log: log, PackedDir: nothingKept})
	if err != nil {
		t.Fatal(err)
	}
	nodes := all(t, self, make200())
	everyone(t, nodes)
	if err := self.Close(); err != nil {
		t.Error(err)
	}
	for _, n := range nodes {
		expectEnd(t, n)
	}
	before.released(t)
	if now := childProcesses(t); now != children {
		t.Errorf("the test has the processes %q, want those from before, %q", now, children)
	}
}

func make200() []connect.Method {
	hops := make([]connect.Method, 200)
	for i := range hops {
		hops[i] = local.Child{}
	}
	return hops
}

// Fifty logins at one sshd with its own defaults are paced, so that it drops none. It begins to
// drop connections at random when ten are not authenticated yet.
func TestFiftyLoginsAtOnce(t *testing.T) {
	lab.Require(t)
	key := lab.NewClientKey(t)
	host := lab.Start(t, lab.Host{
		Users: []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}}, SSHD: &lab.SSHD{},
	})
	before := look(host)
	self := master(t, nil)
	hops := make([]connect.Method, 50)
	for i := range hops {
		hops[i] = withKey(reach(t, host, "deploy"), key)
	}
	nodes := all(t, self, hops)
	everyone(t, nodes)
	said := host.SSHDLog()
	for line := range strings.Lines(said) {
		if strings.Contains(line, "drop connection") || strings.Contains(line, "MaxStartups") {
			t.Errorf("sshd has dropped a connection, want none dropped: %s", line)
		}
	}
	if n := strings.Count(said, "Accepted publickey for deploy"); n != len(nodes) {
		t.Errorf("sshd has accepted %d logins for %d contexts, want one for each", n, len(nodes))
	}
	if err := self.Close(); err != nil {
		t.Error(err)
	}
	before.restored(t, patience)
}
