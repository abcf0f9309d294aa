package contexts_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// All contexts below a host count toward its bound, wherever they are and whichever context makes
// them.
func TestHostHasABudgetOfContexts(t *testing.T) {
	self := start(t, nil)
	h := self.Manage(local.Child{}, &contexts.ManagedHostConfig{MaxContexts: 3})
	root := must(h.Connect(t.Context()))
	a := child(t, root)
	b := child(t, a)
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed int
	)
	for i, from := range []*contexts.Node{root, a, b, root, a, b} {
		wg.Go(func() {
			n, err := from.Connect(t.Context(), local.Child{})
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if failed++; !errors.Is(err, contexts.ErrTooDeep) {
				t.Errorf("connect %d returned %v, %v, want %v", i, n, err, contexts.ErrTooDeep)
			}
		})
	}
	wg.Wait()
	if failed != 5 {
		t.Errorf("%d of 6 connects failed, want 5: there is room for one context", failed)
	}
	// Outside of the host there is room, and a context that has gone leaves room.
	child(t, self)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is room again", func() bool {
		_, err := a.Connect(t.Context(), local.Child{})
		return err == nil
	})
}

func TestHostHasADepth(t *testing.T) {
	self := start(t, nil)
	h := self.Manage(local.Child{}, &contexts.ManagedHostConfig{MaxDepth: 1})
	a := child(t, must(h.Connect(t.Context())))
	if n, err := a.Connect(t.Context(), local.Child{}); !errors.Is(err, contexts.ErrTooDeep) {
		t.Errorf("a connect below the depth returned %v, %v, want %v", n, err, contexts.ErrTooDeep)
	}
	child(t, child(t, child(t, self)))
}
