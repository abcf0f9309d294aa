package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/core"
)

// odd fails, or hangs, in members whose path ends with a name.
type odd struct{ Fails, Hangs, Dies string }

var oddFunc = contexts.NewFunc("fleet.odd", func(ctx context.Context, q odd) (string, error) {
	path := contexts.Self(ctx).String()
	name := strings.TrimPrefix(path[strings.LastIndex(path, "/")+1:], "command:")
	switch name {
	case q.Fails:
		return "", &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}
	case q.Hangs:
		<-ctx.Done()
	case q.Dies:
		os.Exit(7)
	}
	return "same", ctx.Err()
})

// threeTiers is a tree of 1+2+8 members.
func threeTiers(t *testing.T, p Policy) *Group {
	return treeOf(t, "top,mid[1-2],n[1-8]", &Tree{Rules: []Rule{
		{Hosts: mustParse(t, "mid[1-2]"), Via: NewHosts("top")},
		{Hosts: mustParse(t, "n[1-4]"), Via: NewHosts("mid1")},
		{Hosts: mustParse(t, "n[5-8]"), Via: NewHosts("mid2")},
	}}, p)
}

func TestGatheredCallsAreAsOthers(t *testing.T) {
	plain := threeTiers(t, Policy{Timeout: 2 * time.Second})
	gather := plain.With(Policy{Gather: true, Timeout: 2 * time.Second})
	paths(t, plain)
	q := odd{Fails: "n3", Hangs: "n6"}
	for _, g := range []*Group{plain, gather} {
		seen := make(map[string]bool)
		for m, r := range Call(t.Context(), g, oddFunc, q) {
			if seen[m.Name()] {
				t.Errorf("%v came twice", m)
			}
			seen[m.Name()] = true
			switch m.Name() {
			case "n3":
				if !errors.Is(r.Err, fs.ErrNotExist) || !strings.Contains(r.Err.Error(), "n3") {
					t.Errorf("n3: %v, want an error that matches ErrNotExist and names it", r.Err)
				}
			case "n6":
				if !errors.Is(r.Err, context.DeadlineExceeded) {
					t.Errorf("n6: %v, want DeadlineExceeded", r.Err)
				}
			default:
				if r.Err != nil || r.Value != "same" {
					t.Errorf("%v: %q, %v", m, r.Value, r.Err)
				}
				if seen["n6"] {
					t.Errorf("%v came after the member that hangs, which holds nobody up", m)
				}
			}
		}
		if len(seen) != g.Len() {
			t.Errorf("%d results of %d members", len(seen), g.Len())
		}
		folds := Collect(Call(t.Context(), g, oddFunc, odd{Fails: "n3"})).Fold()
		if len(folds) != 2 || folds[0].Hosts.Len() != 10 {
			t.Errorf("%d folds, want 2, the first of 10 members", len(folds))
		}
	}
}

func TestGatheredMembersThatDie(t *testing.T) {
	for _, dies := range []string{"n2", "mid1", "top"} {
		t.Run(dies, func(t *testing.T) {
			g := threeTiers(t, Policy{Gather: true})
			all := paths(t, g)
			seen := 0
			for m, r := range Call(t.Context(), g, oddFunc, odd{Dies: dies}) {
				seen++
				lost := strings.Contains("/"+all[m.Name()]+"/", "/"+dies+"/")
				if !lost && (r.Err != nil || r.Value != "same") || m.Name() == dies && !errors.Is(r.Err, contexts.ErrGone) || r.Err != nil && !errors.Is(r.Err, contexts.ErrGone) {
					t.Errorf("%v: %q, %v; the lost one is %s", m, r.Value, r.Err, dies)
				}
			}
			if seen != g.Len() {
				t.Errorf("%d results of %d members", seen, g.Len())
			}
		})
	}
}

func TestGatheredCommands(t *testing.T) {
	g := threeTiers(t, Policy{Gather: true})
	r := Collect(Run(t.Context(), g, Command{Args: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}}))
	folds := r.Fold()
	if len(folds) != 1 || folds[0].Hosts.Len() != g.Len() {
		t.Fatalf("%d folds, want one of all: %v", len(folds), r.Err())
	}
	f := folds[0]
	exit, ok := errors.AsType[*contexts.ExitError](f.Err)
	if string(f.Value.Stdout) != "out\n" || string(f.Value.Stderr) != "err\n" || f.Value.ExitStatus != 3 || !ok || exit.Code != 3 {
		t.Errorf("%+v, %v; want both outputs and status 3", f.Value, f.Err)
	}
	if r := Collect(Run(t.Context(), g, Command{Args: []string{"/does/not/exist"}})); r.Failed().Len() != g.Len() {
		t.Errorf("%d failed, want all", r.Failed().Len())
	}
}

// Members that have the same to say are one record for the master, however many they are.
func TestGatheredResultsAreFew(t *testing.T) {
	g := threeTiers(t, Policy{Gather: true})
	paths(t, g)
	read := func() (n uint64) {
		tree, err := g.kept.self.Tree(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range tree {
			if i.Parent == g.kept.self.ID() {
				n += i.BytesRead
			}
		}
		return n
	}
	text := strings.Repeat("x", 10000)
	base := read()
	for m, r := range Call(t.Context(), g, echoFunc, text) {
		if r.Err != nil || r.Value != text {
			t.Errorf("%v: %d bytes, %v", m, len(r.Value), r.Err)
		}
	}
	// One result of the context itself, and at most a few records of those below.
	if got := read() - base; got > uint64(5*len(text)) {
		t.Errorf("the master has read %d bytes for 11 results of %d, want few", got, len(text))
	}
}

var echoFunc = contexts.NewFunc("fleet.echo", func(_ context.Context, s string) (string, error) { return s, nil })

// A context on the way says nonsense: the members have one result each all the same.
func TestRangesThatAreNonsense(t *testing.T) {
	asked := func() map[core.ID]bool { return map[core.ID]bool{5: true, 6: true, 9: true} }
	for _, c := range []struct {
		said  ranges
		found string
	}{
		{ranges{{5, 2}}, "[[5 2]]"},
		{ranges{{5, 1}, {5, 1}, {6, 1}}, "[[5 2]]"},
		{ranges{{0, 1 << 62}}, "[]"},
		{ranges{{1<<64 - 1, 3}}, "[]"},
		{ranges{{9, 1}, {7, 2}}, "[[9 1]]"},
		{nil, "[]"},
	} {
		if got := fmt.Sprint(c.said.among(asked())); got != c.found {
			t.Errorf("of %v %s are believed, want %s", c.said, got, c.found)
		}
	}
	r := ranges{{9, 1}, {1, 1}, {2, 3}, {8, 1}}
	if r.compact(); fmt.Sprint(r) != "[[1 4] [8 2]]" || r.count() != 6 {
		t.Errorf("%v, %d", r, r.count())
	}
}
