package fleet

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

// mustParse reads a host set.
func mustParse(t *testing.T, text string) HostSet {
	t.Helper()
	h, err := ParseHosts(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// onThisHost has one hop to a member: a process on this host whose path ends with the name.
func onThisHost(name string) ([]connect.Method, error) {
	return []connect.Method{local.Exec{Name: name, Argv: []string{"env"}}}, nil
}

// treeOf makes a group of processes on this host.
func treeOf(t *testing.T, hosts string, tree *Tree, p Policy) *Group {
	t.Helper()
	g, err := New(treetest.Start(t, nil), mustParse(t, hosts), &Config{Hops: onThisHost, Tree: tree, Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// paths returns the way to each member, by its name, as names with slashes between.
func paths(t *testing.T, g *Group) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for m, r := range Do(t.Context(), g, func(_ context.Context, _ *Member, n *contexts.Node) (string, error) { return n.String(), nil }) {
		if r.Err != nil {
			t.Errorf("%v: %v", m, r.Err)
		}
		if _, twice := found[m.Name()]; twice {
			t.Errorf("%v came twice", m)
		}
		found[m.Name()] = strings.ReplaceAll(r.Value, "command:", "")
	}
	if len(found) != g.Len() {
		t.Errorf("%d of %d members had a result", len(found), g.Len())
	}
	return found
}

func TestRulesOfATree(t *testing.T) {
	g := treeOf(t, "bastion,rack[1-2],n[1-8],alone", &Tree{Rules: []Rule{
		{Hosts: mustParse(t, "rack[1-2]"), Via: NewHosts("bastion")},
		{Hosts: mustParse(t, "n[1-6]"), Via: mustParse(t, "rack[1-2]")},
		{Match: func(name string) bool { return strings.HasPrefix(name, "n") }, Path: "local"},
	}}, Policy{})
	for _, s := range g.kept.broker.stations {
		s.most = 1 // so that each has to take its part
	}
	both := make(map[string]int)
	for name, path := range paths(t, g) {
		up := path[:max(strings.LastIndex(path, "/"), 0)]
		switch {
		case name == "bastion" || name == "alone":
			if path != name {
				t.Errorf("%s is at %q", name, path)
			}
		case strings.HasPrefix(name, "rack"):
			if up != "bastion" {
				t.Errorf("%s is below %q, want bastion", name, up)
			}
		case name == "n7" || name == "n8":
			if up != "local" {
				t.Errorf("%s is below %q, want the context of Path", name, up)
			}
		default:
			both[up]++
		}
	}
	if both["bastion/rack1"]+both["bastion/rack2"] != 6 || both["bastion/rack1"] == 0 || both["bastion/rack2"] == 0 {
		t.Errorf("n1 to n6 are below %v, want both racks", both)
	}
}

func TestTreesThatCannotBe(t *testing.T) {
	set := func(s string) HostSet { return mustParse(t, s) }
	self := treetest.Start(t, nil)
	for name, c := range map[string]struct {
		tree Tree
		says string
	}{
		"a via that is no member": {Tree{Rules: []Rule{{Hosts: set("a"), Via: set("rack9")}}}, "rack9"},
		"a rule for nobody":       {Tree{Rules: []Rule{{Hosts: set("x[1-2]"), Via: set("a")}}}, "x[1-2]"},
		"a rule that comes too late": {Tree{Rules: []Rule{
			{Hosts: set("b"), Via: set("a")}, {Hosts: set("b"), Via: set("c")}}}, "rule 2"},
		"no way":              {Tree{Rules: []Rule{{Hosts: set("a")}}}, "neither Via nor Path"},
		"two ways":            {Tree{Rules: []Rule{{Hosts: set("a"), Via: set("b"), Path: "local"}}}, "both Via and Path"},
		"a path that is none": {Tree{Rules: []Rule{{Hosts: set("a"), Path: "nothing:x"}}}, "nothing"},
		"a circle of two": {Tree{Rules: []Rule{
			{Hosts: set("a"), Via: set("b")}, {Hosts: set("b"), Via: set("a")}}}, "[a-b]"},
		"a circle of three": {Tree{Rules: []Rule{
			{Hosts: set("a"), Via: set("b")}, {Hosts: set("b"), Via: set("c")}, {Hosts: set("c"), Via: set("a")}}}, "[a-c]"},
		"a member above itself":   {Tree{Rules: []Rule{{Hosts: set("a"), Via: set("a")}}}, "rule 1"},
		"Among knows a stranger":  {Tree{Auto: &Auto{Among: set("z")}}, "z"},
		"nothing goes through it": {Tree{Rules: []Rule{{Hosts: set("a"), Via: set("b"), Through: true}}}, "member a"},
	} {
		_, err := New(self, set("a,b,c"), &Config{Hops: onThisHost, Tree: &c.tree})
		says := c.says
		if strings.HasPrefix(says, "[") {
			says = "above itself"
		}
		if !errors.Is(err, ErrTree) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: the error is %v, want ErrTree that says %q", name, err, says)
		}
	}
}

func TestATreeGrows(t *testing.T) {
	g := treeOf(t, "h[1-24]", &Tree{Auto: &Auto{Among: mustParse(t, "h[1-24]"), Children: 4, Depth: 3}}, Policy{})
	g.kept.broker.master.most = 2 // so that others have to help
	children := make(map[string]int)
	for name, path := range paths(t, g) {
		hops := strings.Split(path, "/")
		if hops[len(hops)-1] != name || len(hops) > 3 {
			t.Errorf("%s is at %q, want at most 3 hops", name, path)
		}
		children[strings.Join(hops[:len(hops)-1], "/")]++
	}
	helped := 0
	for up, n := range children {
		if up != "" {
			helped += n
			if n > 4 {
				t.Errorf("%d members are below %q, want at most 4", n, up)
			}
		}
	}
	if helped == 0 {
		t.Error("the master has started all members, want that others helped")
	}
}

func TestOnlyThoseThatAreNamedAreAboveOthers(t *testing.T) {
	g := treeOf(t, "a,b,c,h[1-12]", &Tree{
		Rules: []Rule{{Hosts: NewHosts("b"), Via: NewHosts("a")}},
		Auto:  &Auto{Children: 20},
	}, Policy{})
	g.kept.broker.master.most = 1
	for name, path := range paths(t, g) {
		for up := range strings.SplitSeq(path, "/") {
			if up != name && up != "a" {
				t.Errorf("%s is at %q, and nobody named %s", name, path, up)
			}
		}
	}
}

// A context on the way is killed: the members below it are taken over by the others, by the
// master, or say that nobody is left.
func TestALostContextIsReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		rule Rule
		want string // above the leaves afterwards
	}{
		"another":    {Rule{Via: NewHosts("up1", "up2")}, "up2"},
		"the master": {Rule{Via: NewHosts("up1"), Direct: true}, ""},
		"nobody":     {Rule{Via: NewHosts("up1")}, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			c.rule.Hosts = mustParse(t, "leaf[1-6]")
			broken := t.TempDir() + "/broken"
			self := treetest.Start(t, nil)
			g, err := New(self, mustParse(t, "leaf[1-6]").Union(c.rule.Via), &Config{
				Tree:   &Tree{Rules: []Rule{c.rule}},
				Policy: Policy{ConnectTimeout: 30 * time.Second},
				Host:   contexts.ManagedHostConfig{MinDelay: time.Millisecond, MaxDelay: 50 * time.Millisecond},
				Hops: func(name string) ([]connect.Method, error) {
					if name != "up1" {
						return onThisHost(name)
					}
					return []connect.Method{local.Exec{Name: name, Argv: []string{"sh", "-c", `[ ! -e ` + broken + ` ] && exec "$@"; echo broken >&2; exit 9`, "sh"}}}, nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			paths(t, g)
			if err := os.WriteFile(broken, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			treetest.Lose(t, g.Member("up1").Target().(*contexts.ManagedHost))
			leaves := g.Only(c.rule.Hosts)
			if c.want == "none" {
				leaves = leaves.With(Policy{ConnectTimeout: time.Second})
				r := Collect(Call(t.Context(), leaves, pid, struct{}{}))
				if r.Len() != 6 || r.Failed().Len() != 6 {
					t.Errorf("%d results, %d failed; want 6 and 6", r.Len(), r.Failed().Len())
				}
				for m, one := range r.All() {
					via, ok := errors.AsType[*ViaError](one.Err)
					if !ok || !via.Via.Equal(NewHosts("up1")) || !strings.Contains(one.Err.Error(), "broken") {
						t.Errorf("%v: %v, want a ViaError that names up1 and says why", m, one.Err)
					}
				}
				return
			}
			for name, path := range paths(t, leaves) {
				if up := path[:max(strings.LastIndex(path, "/"), 0)]; up != c.want {
					t.Errorf("%s is below %q, want %q", name, up, c.want)
				}
			}
		})
	}
}

func TestACloseOfATreeLeavesNothing(t *testing.T) {
	g := treeOf(t, "a,b,c,d,e,f", &Tree{Rules: []Rule{
		{Hosts: NewHosts("b", "c"), Via: NewHosts("a")}, {Hosts: NewHosts("d", "e", "f"), Via: NewHosts("b", "c")},
	}}, Policy{})
	for range 2 {
		paths(t, g)
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		tree, err := g.kept.self.Tree(t.Context())
		if err != nil || len(tree) != 1 {
			t.Errorf("%d contexts are left, %v; want the master alone", len(tree), err)
		}
	}
}

// A group is closed, and its caller gives up, while the tree grows: each member has one result,
// and nothing is left once the operation is over.
func TestATreeIsClosedWhileItGrows(t *testing.T) {
	g := treeOf(t, "up[1-3],n[1-12],h[1-6]", &Tree{
		Rules: []Rule{{Hosts: mustParse(t, "n[1-12]"), Via: mustParse(t, "up[1-3]")}},
		Auto:  &Auto{},
	}, Policy{})
	for i := range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		closed := make(chan error)
		go func() {
			time.Sleep(time.Duration(i*80) * time.Millisecond)
			if i%2 == 0 {
				cancel()
			}
			closed <- g.Close()
		}()
		seen := make(map[string]int)
		for m := range Call(ctx, g.With(Policy{Gather: i > 1, ConnectTimeout: 20 * time.Second}), pid, struct{}{}) {
			seen[m.Name()]++
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		cancel()
		for name := range g.Hosts().All() {
			if seen[name] != 1 {
				t.Errorf("round %d: %s had %d results, want 1", i, name, seen[name])
			}
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		treetest.Eventually(t, "only the master is left", func() bool {
			tree, err := g.kept.self.Tree(t.Context())
			return err == nil && len(tree) == 1
		})
	}
}
