package call

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/mitosis-go/mitosis/core"
)

// turns records in which order the calls of a chain ran, were skipped or were released, or runs
// began and were told to end.
type turns struct {
	mu  sync.Mutex
	log []string
}

func (t *turns) add(event string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, event)
}

// turn is a call that fails with err, if that is not nil.
type turn struct {
	of   *turns
	name string
	err  error
}

func (c turn) Execute()         { c.of.add(c.name + " ran") }
func (c turn) Skip(first error) { c.of.add(c.name + " skipped: " + first.Error()) }
func (c turn) Release()         { c.of.add(c.name + " released") }
func (c turn) Failed() error    { return c.err }

var someChain = ChainKey{Src: 7, ID: 1}

// Calls of a chain run in the order of their numbers, whatever the order of their arrival.
// Behind a call that fails the others are skipped, with the first failure.
func TestChainsRunInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all Chains
		var of turns
		for _, c := range []struct {
			seq uint64
			turn
		}{
			{3, turn{&of, "d", nil}}, {1, turn{&of, "b", errors.New("no b")}}, {2, turn{&of, "c", nil}}, {0, turn{&of, "a", nil}},
		} {
			if err := all.Enqueue(someChain, c.seq, c.turn); err != nil {
				t.Fatalf("call %d of a chain was refused: %v", c.seq, err)
			}
		}
		synctest.Wait()
		want := []string{"a ran", "b ran", "c skipped: no b", "d skipped: no b"}
		if !slices.Equal(of.log, want) {
			t.Errorf("the calls of a chain came as %q, want %q", of.log, want)
		}
		if err := all.Enqueue(someChain, 1, turn{&of, "b", nil}); !errors.Is(err, core.ErrProtocol) {
			t.Errorf("a call with a number that was used before: error %v, want %v", err, core.ErrProtocol)
		}
		all.OnEnd(someChain.Src, ChainEnd{Chain: someChain.ID, Calls: 4})
		if left := all.Callers(); len(left) != 0 {
			t.Errorf("a chain that has ended is kept for %v, want none", left)
		}
	})
}

// The end of a chain may overtake its calls. The calls of a chain whose caller is lost are
// released.
func TestChainsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all Chains
		var of turns
		must := func(seq uint64, name string) {
			t.Helper()
			if err := all.Enqueue(someChain, seq, turn{&of, name, nil}); err != nil {
				t.Fatalf("call %d of a chain was refused: %v", seq, err)
			}
		}
		must(1, "b")
		all.OnEnd(someChain.Src, ChainEnd{Chain: someChain.ID, Calls: 2})
		if got := all.Callers(); !slices.Equal(got, []core.ID{someChain.Src}) {
			t.Errorf("a chain whose calls are not complete is kept for %v, want its caller", got)
		}
		must(0, "a")
		synctest.Wait()
		must(1, "d") // a call of the next chain with that number
		all.Drop(someChain.Src)
		want := []string{"a ran", "b ran", "d released"}
		if got := all.Callers(); !slices.Equal(of.log, want) || len(got) != 0 {
			t.Errorf("the calls came as %q, and chains of %v are left; want %q and none", of.log, got, want)
		}
	})
}

// The chains and waiting calls that one caller can make this context hold are bounded.
func TestChainsAreBounded(t *testing.T) {
	var all Chains
	var of turns
	for i := range uint64(maxChains + 1) {
		err := all.Enqueue(ChainKey{Src: 7, ID: i}, 1, turn{&of, "b", nil})
		if busy := errors.Is(err, core.ErrBusy); busy != (i == maxChains) {
			t.Fatalf("chain %d: got %v, want %v for number %d only", i, err, core.ErrBusy, maxChains)
		}
	}
	for i := range uint64(maxChainWaiting + 1) {
		err := all.Enqueue(ChainKey{Src: 8, ID: 1}, i+1, turn{&of, "b", nil})
		if busy := errors.Is(err, core.ErrBusy); busy != (i == maxChainWaiting) {
			t.Fatalf("call %d of one chain: got %v, want %v for number %d only", i, err, core.ErrBusy, maxChainWaiting)
		}
	}
}
