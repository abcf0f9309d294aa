package tree

import (
	"context"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/core"
)

// Only one child has a name at a time. Each connect and each child takes one place.
func TestChildrenHaveNamesAndPlaces(t *testing.T) {
	var c Children
	for _, want := range []string{"local", "local#2", "local#3"} {
		if got := c.TakeName("local"); got != want {
			t.Errorf("the next child by the same hop is named %q, want %q", got, want)
		}
	}
	c.DropName("local#2") // its child was never connected
	if got := c.TakeName("local"); got != "local#2" {
		t.Errorf("a name that was given back is not given again: got %q, want %q", got, "local#2")
	}
	if !c.Reserve(2) {
		t.Fatal("the first of two places was refused")
	}
	c.Add(&Child{ID: 1, Name: "local"})
	c.Release()
	if !c.Reserve(2) {
		t.Error("the second place was refused although the first connect has its child")
	}
	if c.Reserve(2) {
		t.Error("a third place was given, want two")
	}
	c.Remove(1)
	if got := c.TakeName("local"); got != "local" || c.Get(1) != nil || len(c.List()) != 0 {
		t.Errorf("a removed child leaves the name %q taken, %v and %v; want nothing of it", got, c.Get(1), c.List())
	}
}

// A context may ask for passwords as long as any of its hops for us is under way, and the person
// of the hop with the path of the question answers.
func TestAskingEndsWithTheLastHop(t *testing.T) {
	var c Children
	const id = core.ID(7)
	person := func(name string) Person {
		return Person{Prompt: func(context.Context, connect.Prompt) (string, error) { return name, nil }}
	}
	asked := func(id core.ID, path string) string {
		p, may := c.PersonFor(id, path)
		if !may {
			return "nobody"
		}
		name, _ := p.Prompt(t.Context(), connect.Prompt{})
		return name
	}
	check := func(when string, want map[string]string) {
		t.Helper()
		for path, name := range want {
			if got := asked(id, path); got != name {
				t.Errorf("%s, %q is asked of %s, want %s", when, path, got, name)
			}
		}
		if got := asked(8, "ssh:a/sudo"); got != "nobody" {
			t.Errorf("%s, another context asks %s, want nobody", when, got)
		}
	}
	first := c.LetAsk(id, "ssh:a/sudo", person("Ann"))
	second := c.LetAsk(id, "ssh:a/sudo:carol", person("Carol"))
	check("with two hops", map[string]string{"ssh:a/sudo": "Ann", "ssh:a/sudo:carol": "Carol", "ssh:a/sudo:carol/su": "Carol", "ssh:a": "Ann"})
	first()
	check("with one of two hops left", map[string]string{"ssh:a/sudo": "Carol", "ssh:a/sudo:carol": "Carol"})
	second()
	check("without a hop under way", map[string]string{"ssh:a/sudo": "nobody"})
}

// A leftover is removed only once: by its maker, at the end, or at once if the end has come before
// it was added.
func TestLeftoversAreRemovedAtTheEnd(t *testing.T) {
	var o Leftovers
	removed := make(map[string]int)
	add := func(name string) (forget func()) { return o.Add(func() { removed[name]++ }) }
	add("stays")
	add("removed by its maker")()
	o.Remove()
	o.Remove()
	add("late")()
	if removed["stays"] != 1 || removed["late"] != 1 || len(removed) != 2 {
		t.Errorf("the removals are %v, want the one that stays and the late one, once each", removed)
	}
}
