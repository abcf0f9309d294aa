package router

import (
	"context"
	"errors"
	"testing"

	"github.com/mitosis-go/mitosis/core"
)

func TestTenNestedContexts(t *testing.T) {
	m := newMaster(t, Config{})
	n := m
	seen := map[core.ID]bool{0: true}
	for range 12 {
		n = n.child(Config{})
		if seen[n.Self()] {
			t.Fatalf("%d was given out twice", n.Self())
		}
		seen[n.Self()] = true
	}
	// The last of them has children as well, and so have others.
	for a := n; a.parent != nil; a = a.parent {
		for range 4 {
			k := a.child(Config{})
			if seen[k.Self()] {
				t.Fatalf("%d was given out twice", k.Self())
			}
			seen[k.Self()] = true
			m.mustCall(k.Self(), "hello")
		}
	}
}

func TestTwoHundredChildrenOfAChild(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	seen := map[core.ID]bool{}
	ids := make(chan core.ID)
	for range 200 {
		go func() {
			id, _, err := k.AllocID(context.Background())
			if err != nil {
				t.Error(err)
			}
			ids <- id
		}()
	}
	for range 200 {
		id := <-ids
		if seen[id] {
			t.Fatalf("%d was given out twice", id)
		}
		seen[id] = true
	}
	var last *testNode
	for range 200 {
		last = k.child(Config{})
	}
	last.mustCall(0, "hello")
	m.mustCall(last.Self(), "hello")
}

func TestTheQuotaOfIDs(t *testing.T) {
	m := newMaster(t, Config{Limits: Limits{IDs: 2000}})
	k := m.child(Config{})
	got := 0
	var err error
	for range 5000 {
		if _, _, err = k.AllocID(context.Background()); err != nil {
			break
		}
		got++
	}
	if !errors.Is(err, core.ErrTooDeep) || got > 2000 || got < 100 {
		t.Errorf("%d IDs, then %v", got, err)
	}
	// Others are not concerned.
	if _, _, err := m.child(Config{}).AllocID(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestAllocIDWaitsNoLongerThanItsContext(t *testing.T) {
	r := New(Config{Self: 5, Ancestors: []core.ID{0}})
	defer r.Close(nil)
	if _, _, err := r.AllocID(context.Background()); !errors.Is(err, core.ErrTooDeep) {
		t.Errorf("without a parent: %v", err)
	}
}

func TestBlocks(t *testing.T) {
	var s idSpace
	if _, _, ok := s.child(); ok {
		t.Error("an ID out of nothing")
	}
	s.add(core.Block{First: 10, N: 3})
	s.add(core.Block{First: 1<<64 - 2, N: 5}) // runs over
	s.add(core.Block{First: 100, N: 40})
	seen := map[core.ID]bool{}
	for {
		id, b, ok := s.child()
		if !ok {
			break
		}
		ids := []core.ID{id}
		for i := range b.N {
			ids = append(ids, b.First+core.ID(i))
		}
		for _, id := range ids {
			if seen[id] || !(id >= 10 && id < 13 || id >= 100 && id < 140) {
				t.Errorf("ID %d was given out twice, or is from no block", id)
			}
			seen[id] = true
		}
	}
	if len(seen) != 43 || s.left != 0 {
		t.Errorf("%d given out, %d left", len(seen), s.left)
	}
	b := blocks{{First: 5, N: 2}, {First: 1<<64 - 2, N: 2}}
	for id, want := range map[core.ID]bool{4: false, 5: true, 6: true, 7: false, 1<<64 - 1: true, 1<<64 - 3: false, 0: false} {
		if b.contain(id) != want {
			t.Errorf("contain(%d)", id)
		}
	}
}
