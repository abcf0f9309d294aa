package fleet

import (
	"context"
	"fmt"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

// What a group, an operation on it and its folding allocate grows with the members and not
// faster, with and without a tree.
func TestMembersCostTheSameInLargeGroups(t *testing.T) {
	self := treetest.Start(t, nil)
	for name, tree := range map[string]func(n int) *Tree{
		"flat": func(int) *Tree { return nil },
		"a rule for each ten": func(n int) *Tree {
			var tree Tree
			for i := range n / 10 {
				up := 10 * i
				tree.Rules = append(tree.Rules, Rule{Hosts: members(up, up+10), Via: members(up, up+1)})
			}
			return &tree
		},
		"auto": func(n int) *Tree { return &Tree{Auto: &Auto{Among: members(0, n)}} },
	} {
		cost := func(n int) float64 {
			return testing.AllocsPerRun(1, func() {
				g, err := New(self, members(0, n), &Config{
					Hops: func(string) ([]connect.Method, error) { return nil, nil }, Tree: tree(n),
				})
				if err != nil {
					t.Fatal(err)
				}
				r := Collect(Do(t.Context(), g, func(context.Context, *Member, *contexts.Node) (int, error) { return 1, nil }))
				if f := r.Fold(); len(f) != 1 || f[0].Hosts.String() != fmt.Sprintf("m[0-%d]", n-1) {
					t.Errorf("%s: %d folds, the first of %v; want one of all", name, len(f), f[0].Hosts)
				}
			}) / float64(n)
		}
		if few, many := cost(1000), cost(8000); many > 1.2*few {
			t.Errorf("%s: a member of 8,000 costs %.1f allocations, one of 1,000 %.1f; want about the same", name, many, few)
		}
	}
}

func members(from, to int) HostSet {
	names := make([]string, 0, to-from)
	for i := from; i < to; i++ {
		names = append(names, fmt.Sprintf("m%d", i))
	}
	return NewHosts(names...)
}

func TestAMemberThatHangsCostsTheOthersNothing(t *testing.T) {
	g := here(t, 10_000, Policy{})
	others, done := context.WithCancel(t.Context())
	defer done()
	seen := 0
	for m, r := range Do(t.Context(), g, func(_ context.Context, m *Member, _ *contexts.Node) (int, error) {
		if memberNumber(m) == 1 {
			<-others.Done()
		}
		return 0, nil
	}) {
		if seen++; seen == g.Len()-1 {
			done()
		}
		if r.Err != nil || m.Name() == "h1" && seen != g.Len() {
			t.Fatalf("%v came as number %d, %v; want it last, and no error", m, seen, r.Err)
		}
	}
	if seen != g.Len() {
		t.Errorf("%d results of %d members", seen, g.Len())
	}
}
