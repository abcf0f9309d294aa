package tree

import (
	"testing"

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

// A context may ask for passwords as long as any of its hops for us is under way.
func TestAskingEndsWithTheLastHop(t *testing.T) {
	var c Children
	const id = core.ID(7)
	first, second := c.LetAsk(id), c.LetAsk(id)
	first()
	if !c.MayAsk(id) || c.MayAsk(8) {
		t.Errorf("with one of two hops left: %v for it, %v for another context; want true and false", c.MayAsk(id), c.MayAsk(8))
	}
	second()
	if c.MayAsk(id) {
		t.Error("without a hop under way the context may ask, want not")
	}
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
