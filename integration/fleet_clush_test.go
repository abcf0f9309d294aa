//go:build linux

package integration

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// ClusterShell is the measure for host sets and for folded output.

// expandAll reads host sets, one on a line, and prints the names of each as nodeset(1) does, or
// ERROR. One process does all, as Python takes long to start.
const expandAll = `
import sys
from ClusterShell.NodeSet import NodeSet
for line in sys.stdin:
    try:
        s = NodeSet(line.rstrip("\n"))
        print(" ".join(sorted(s)), str(s), sep="\t")
    except Exception as e:
        print("ERROR", "", sep="\t")
`

func clustershell(t *testing.T, sets []string) (names [][]string, folded []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", expandAll)
	cmd.Stdin = strings.NewReader(strings.Join(sets, "\n") + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("clustershell: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		all, fold, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		names, folded = append(names, strings.Fields(all)), append(folded, fold)
	}
	if len(names) != len(sets) {
		t.Fatalf("clustershell has read %d of %d host sets: %s", len(names), len(sets), out)
	}
	return names, folded
}

// randomSet makes a host set of a few terms.
func randomSet(r *rand.Rand) string {
	var out strings.Builder
	for i := range 1 + r.IntN(5) {
		if i > 0 {
			out.WriteByte(",!&^"[r.IntN(4)])
		}
		out.WriteString([]string{"web", "db", "n", "rack1-n"}[r.IntN(4)])
		for range 1 + r.IntN(2) {
			out.WriteString(randomRange(r))
			out.WriteString([]string{"-", ".x", "-ib"}[r.IntN(3)])
		}
		if r.IntN(4) == 0 {
			out.WriteString(".example.com")
		}
	}
	return out.String()
}

func randomRange(r *rand.Rand) string {
	width := r.IntN(3) + 1
	from := r.IntN(8)
	to := from + r.IntN(12)
	switch r.IntN(4) {
	case 0:
		return fmt.Sprintf("%0*d", width, from)
	case 1:
		return fmt.Sprintf("[%0*d-%0*d]", width, from, width, to)
	case 2:
		return fmt.Sprintf("[%0*d-%0*d/%d]", width, from, width, to, 1+r.IntN(4))
	}
	return fmt.Sprintf("[%0*d,%0*d-%0*d]", width, from, width, to+2, width, to+5)
}

func TestHostSetsAreThoseOfClusterShell(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var sets []string
	for range 500 {
		sets = append(sets, randomSet(r))
	}
	names, folded := clustershell(t, sets)
	different := 0
	for i, text := range sets {
		ours, err := fleet.ParseHosts(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := ours.Names()
		slices.Sort(got)
		if !slices.Equal(got, names[i]) {
			if different++; different < 10 {
				t.Errorf("%s is %q, want %q as ClusterShell has it", text, got, names[i])
			}
			continue
		}
		// Each reads what the other has folded.
		if back, err := fleet.ParseHosts(folded[i]); err != nil || !back.Equal(ours) {
			t.Errorf("%s, which ClusterShell folds to %s, is read as %v, %v", text, folded[i], back, err)
		}
		sets[i] = ours.String()
	}
	again, theirs := clustershell(t, sets)
	for i := range sets {
		if !slices.Equal(again[i], names[i]) {
			t.Errorf("%s, as we fold %s, is read as %q by ClusterShell, want %q", sets[i], folded[i], again[i], names[i])
		}
		if len(sets[i]) > len(theirs[i])+20 {
			t.Errorf("%s is much longer than %s", sets[i], theirs[i])
		}
	}
}

// The differences that are meant: docs/decisions/068-host-sets-beside-clustershell.md has the
// reasons. An error is "ERROR".
func TestDifferencesFromClusterShell(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	cases := []struct{ text, ours, theirs string }{
		{"n[1-2][3-4]", "n13 n14 n23 n24", "ERROR"},
		{"a,b,!b", "a", "ERROR"},
		{"a,b&!b", "a", "ERROR"},
		{"h[1-3],@none", "ERROR", "h1 h2 h3"}, // a group that nobody knows
		{"ssh:[fe80::1]:22", "ssh:[fe80::1]:22", "ERROR"},
		{`a\,b`, "a,b", `a\ b`},
		// And these are errors for both.
		{"n[1-3", "ERROR", "ERROR"},
		{"n[3-1]", "ERROR", "ERROR"},
		{"n[1-10/0]", "ERROR", "ERROR"},
		{"n[08-9]", "ERROR", "ERROR"},
		{"a,,b", "ERROR", "ERROR"},
		{"a[]", "ERROR", "ERROR"},
		{"a[b]", "ERROR", "ERROR"},
	}
	var sets []string
	for _, c := range cases {
		sets = append(sets, c.text)
	}
	names, _ := clustershell(t, sets)
	for i, c := range cases {
		ours := "ERROR"
		if set, err := fleet.ParseHosts(c.text); err == nil {
			got := set.Names()
			slices.Sort(got)
			ours = strings.Join(got, " ")
		}
		if theirs := strings.Join(names[i], " "); ours != c.ours || theirs != c.theirs {
			t.Errorf("%s is %q here and %q there, want %q and %q", c.text, ours, theirs, c.ours, c.theirs)
		}
	}
}

// folded is the headline of a block of clush -b.
var folded = regexp.MustCompile(`(?m)^-{15}\n(\S+)(?: \(\d+\))?\n-{15}\n`)

// clush -b and Fold put the same hosts together, under the same name.
func TestFoldIsThatOfClush(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	n := 30
	if testing.Short() {
		n = 12
	}
	key := lab.NewClientKey(t)
	hosts := fleetHosts(t, n, key, func(i int, h *lab.Host) {
		text := "the same\n\n  for most\n"
		switch {
		case i%5 == 0:
			text = "another\n"
		case i == 7:
			text = "no end of a line"
		case i == 9:
			text = "the same\n\n  for most \n"
		case i == 11:
			text = "ümläut\n"
		}
		h.Files = map[string]string{"/etc/text": text}
	})
	var known, names strings.Builder
	for name, h := range hosts {
		known.WriteString(h.KnownHosts())
		fmt.Fprintln(&names, h.IP(), name)
	}
	desk := start(t, lab.Host{Name: "desk", Files: map[string]string{"/root/key": key.Private, "/root/known": known.String()}})
	if _, err := desk.Shell("cat >>/etc/hosts <<'END'\n" + names.String() + "END"); err != nil {
		t.Fatal(err)
	}
	list := fmt.Sprintf("h[1-%d]", n)
	out, err := desk.Command(t.Context(), "clush", "-b", "-w", list, "-l", "deploy",
		"-o", "-i /root/key -o UserKnownHostsFile=/root/known -o IdentitiesOnly=yes", "cat", "/etc/text").Output()
	if err != nil {
		t.Fatalf("clush: %v: %s", err, out)
	}
	want := make(map[string]string)
	heads := folded.FindAllSubmatchIndex(out, -1)
	for i, head := range heads {
		end := len(out)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		want[string(out[head[2]:head[3]])] = strings.TrimSuffix(string(out[head[1]:end]), "\n")
	}
	g := fleetOf(t, master(t, nil), hosts, key, fleet.Config{})
	r := fleet.Collect(fleet.Run(t.Context(), g, fleet.Command{Args: []string{"cat", "/etc/text"}}))
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	got := make(map[string]string)
	for _, f := range r.Fold() {
		got[f.Hosts.String()] = strings.TrimSuffix(string(f.Value.Stdout), "\n")
	}
	if len(got) < 5 || !maps.Equal(got, want) {
		t.Errorf("the output folds to\n%q, want\n%q\nof clush: %s", got, want, out)
	}
}
