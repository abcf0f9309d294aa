package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

// shells makes a group of contexts on this host, each with its name in $MEMBER.
func shells(t *testing.T, names ...string) *Group {
	t.Helper()
	g, err := New(treetest.Start(t, nil), NewHosts(names...), &Config{Hops: func(name string) ([]connect.Method, error) {
		return []connect.Method{local.Exec{Name: name, Argv: []string{"env"}, Env: []string{"MEMBER=" + name}}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestRun(t *testing.T) {
	g := shells(t, "a", "b", "c")
	var mu sync.Mutex
	lines := make(map[string][]string)
	r := Collect(Run(t.Context(), g, Command{
		Args: []string{"sh", "-c", `echo same; echo "$MEMBER $EXTRA" >&2; printf 'no end'; [ "$MEMBER" != c ] || exit 3`},
		Make: func(m *Member, c *contexts.Command) error {
			c.Env = append(c.Env, "EXTRA=for "+m.Name())
			return nil
		},
		Line: func(m *Member, l Line) {
			mu.Lock()
			defer mu.Unlock()
			lines[m.Name()] = append(lines[m.Name()], fmt.Sprintf("%s %v", l.Text, l.Stderr))
		},
	}))
	if r.OK().String() != "a,b" || r.Failed().String() != "c" {
		t.Fatalf("%v succeeded, %v failed: %v", r.OK(), r.Failed(), r.Err())
	}
	for _, name := range []string{"a", "b", "c"} {
		one, _ := r.Of(name)
		want := Output{Stdout: []byte("same\nno end"), Stderr: []byte(name + " for " + name + "\n"), StdoutBytes: 11, StderrBytes: 8}
		if name == "c" {
			want.ExitStatus = 3
		}
		if fmt.Sprint(one.Value) != fmt.Sprint(want) {
			t.Errorf("the output of %s is %+v, want %+v", name, one.Value, want)
		}
		slices.Sort(lines[name])
		if want := []string{name + " for " + name + " true", "no end false", "same false"}; !slices.Equal(lines[name], want) {
			t.Errorf("the lines of %s are %q, want %q", name, lines[name], want)
		}
	}
	if exit, ok := errors.AsType[*contexts.ExitError](r.Err()); !ok || exit.Code != 3 {
		t.Errorf("the error is %v, want one with the exit status 3", r.Err())
	}
	if err := Collect(Run(t.Context(), g, Command{})).Err(); err == nil {
		t.Error("a command without a program was run")
	}
}

// A member that prints without end costs a bound, and none of the others anything.
func TestRunIsBounded(t *testing.T) {
	g := shells(t, "flood", "quiet")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	longest := 0
	c := Command{
		Args: []string{"sh", "-c", `[ "$MEMBER" = quiet ] && exec echo done; head -c 3000000 /dev/zero | tr '\0' x; echo; echo end`},
		Keep: 1000,
		Line: func(_ *Member, l Line) { longest = max(longest, len(l.Text)) },
	}
	r := Collect(Run(ctx, g, c))
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	flood, _ := r.Of("flood")
	if out := flood.Value; out.StdoutBytes != 3_000_005 || len(out.Stdout) != 1000 || !bytes.HasSuffix(out.Stdout, []byte("xx\nend\n")) {
		t.Errorf("%d bytes are kept of %d, which end with %q; want 1000 of 3000005", len(out.Stdout), out.StdoutBytes, out.Stdout[max(0, len(out.Stdout)-10):])
	}
	if longest != longestLine {
		t.Errorf("the longest piece of a line has %d bytes, want %d", longest, longestLine)
	}
	if quiet, _ := r.Of("quiet"); string(quiet.Value.Stdout) != "done\n" {
		t.Errorf("the other one printed %q", quiet.Value.Stdout)
	}
	c.Keep = -1
	if one, _ := Collect(Run(ctx, g.Only(NewHosts("quiet")), c)).Of("quiet"); len(one.Value.Stdout) != 0 || one.Value.StdoutBytes != 5 {
		t.Errorf("nothing was to be kept, and %q was of %d bytes", one.Value.Stdout, one.Value.StdoutBytes)
	}
}

// Lines are cut the same way however they come.
func TestLinesAreCut(t *testing.T) {
	text := "one\n\n" + strings.Repeat("y", longestLine) + "\n" + strings.Repeat("z", 2*longestLine+5) + "\nlast"
	want := []string{"one", "", strings.Repeat("y", longestLine), strings.Repeat("z", longestLine), strings.Repeat("z", longestLine), "zzzzz", "last"}
	for _, piece := range []int{1, 3, 1000, longestLine, len(text)} {
		var got []string
		c := newCollector(&Command{Line: func(_ *Member, l Line) { got = append(got, string(l.Text)) }}, nil, false, new(sync.Mutex))
		for rest := []byte(text); len(rest) > 0; {
			n := min(piece, len(rest))
			_, _ = c.Write(rest[:n])
			rest = rest[n:]
		}
		c.end()
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of %d bytes there are %d lines, want %d as in one", piece, len(got), len(want))
		}
		if kept := c.kept(); string(kept) != text[len(text)-defaultKeep:] {
			t.Errorf("in pieces of %d bytes, %d bytes are kept, want the last %d", piece, len(kept), defaultKeep)
		}
	}
}
