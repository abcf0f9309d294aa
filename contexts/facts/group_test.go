package facts

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/contexts/fleet/journal"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

// The members of a group are told apart by their facts. Those without are in no part of it,
// and are named.
func TestGroupByFacts(t *testing.T) {
	j, err := journal.Open(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	g, err := fleet.New(treetest.Start(t, nil), fleet.NewHosts("a", "broken", "b"), &fleet.Config{
		Policy: fleet.Policy{Journal: j, Name: "restart", StopAbove: &fleet.Share{}, Batches: []fleet.Share{{N: 1}}},
		Hops: func(name string) ([]connect.Method, error) {
			if name == "broken" {
				return []connect.Method{local.Exec{Name: name, Argv: []string{"/nonexistent/tool"}}}, nil
			}
			return []connect.Method{local.Exec{Name: name, Argv: []string{"env"}}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	all := OfAll(t.Context(), g)
	if all.OK().Len() != 2 || all.NotTried().Len() != 0 {
		t.Fatalf("the facts of %v are known, and %v were not tried: %v; want those of a and b, and none", all.OK(), all.NotTried(), all.Err())
	}
	if j.State("restart", "a") != fleet.StateNone {
		t.Error("a question was written into the journal of an operation")
	}
	hostname, _ := os.Hostname()
	for what, c := range map[string]struct {
		want func(Facts) bool
		n    int
	}{
		"this host": {func(f Facts) bool { return f.Hostname == hostname }, 2},
		"no host":   {func(f Facts) bool { return f.GOOS == "plan9" }, 0},
	} {
		part, err := fleet.Where(g, all, c.want)
		failed, ok := errors.AsType[*fleet.FailedError](err)
		if part.Len() != c.n || !ok || len(failed.Failed) != 1 || failed.Failed[0].Name != "broken" {
			t.Errorf("%s: %v, %v; want %d members, and an error about broken", what, part.Hosts(), err, c.n)
		}
	}
	if part, err := fleet.Where(g.Only(all.OK()), all, func(Facts) bool { return true }); err != nil || part.Len() != 2 {
		t.Errorf("of the known ones: %v, %v", part.Hosts(), err)
	}
	other := fleet.Collect(fleet.Call(t.Context(), g.Only(fleet.NewHosts("a")), Func, struct{}{}))
	if _, err := fleet.Where(g, other, func(Facts) bool { return true }); err == nil {
		t.Error("members without a result are not reported")
	}
	if _, err := fleet.Where(g.With(fleet.Policy{}), fleet.Collect(fleet.Call(t.Context(), again(t, g, j), Func, struct{}{})), func(Facts) bool { return true }); err == nil {
		t.Error("members with a result from before are not reported")
	}
}

// again is the group as a second run has it, which finds all done in its journal.
func again(t *testing.T, g *fleet.Group, j *journal.Journal) *fleet.Group {
	t.Helper()
	for m := range g.Members() {
		if err := errors.Join(j.Begin("facts", m.Name()), j.End("facts", m.Name(), nil)); err != nil {
			t.Fatal(err)
		}
	}
	return g.With(fleet.Policy{Journal: j, Name: "facts"})
}
