package inventory

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestTreeOfAnInventory(t *testing.T) {
	load := func(text string) *Inventory {
		file := t.TempDir() + "/hosts.yaml"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		inv, err := Load(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		return inv
	}
	inv := load(`
hosts:
  gate:
  head[1-2]: {behind: gate, through: true}
  n[1-3]:
  free:
groups:
  heads: head[1-2]
  rack: {hosts: "head1,n[1-3]", vars: {behind: "@heads"}}
`)
	tree, err := inv.Tree(inv.Hosts())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range tree.Rules {
		text := r.Hosts.String() + " < " + r.Via.String()
		if r.Through {
			text += " through"
		}
		got = append(got, text)
	}
	if want := "head[1-2] < gate through; n[1-3] < head[1-2]"; strings.Join(got, "; ") != want {
		t.Errorf("the rules are %q, want %q", strings.Join(got, "; "), want)
	}
	if tree, err := load("hosts:\n  a:\n").Tree(inv.Hosts()); tree != nil || err != nil {
		t.Errorf("without the variable: %v, %v; want none", tree, err)
	}
	for _, behind := range []string{"@nogroup", "n[1-", "a!a", `b", through: "perhaps`} {
		inv := load("hosts:\n  a: {behind: \"" + behind + "\"}\n")
		if _, err := inv.Tree(inv.Hosts()); !errors.Is(err, ErrVariable) || !strings.Contains(err.Error(), "host a") {
			t.Errorf("behind %s: %v, want ErrVariable that names the host", behind, err)
		}
	}
}
