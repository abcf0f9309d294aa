package router

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/mitosis-go/mitosis/core"
)

// A context that loses its master goes on as the root, and gets another master
// under the same ID. What was between others is gone; what was below it is not.
func TestARootOutlivesItsMaster(t *testing.T) {
	c := Config{OnRoot: (*Router).OnRoot}
	first := newMaster(t, c)
	root := first.child(c)
	middle := root.child(c)
	leaf := middle.child(c)
	beside := first.child(c)

	release := make(chan struct{})
	for _, n := range []*testNode{first, root, beside} {
		n.handle(func(n *testNode, m Message) {
			<-release
			_ = n.Send(context.Background(), m.Src, m.Reply, 0, 0, m.Body)
		})
	}
	type answer struct {
		body string
		err  error
	}
	ask := func(n *testNode, dst core.ID) chan answer {
		c := make(chan answer, 1)
		go func() {
			b, err := n.call(dst, []byte("slow"))
			c <- answer{string(b), err}
		}()
		return c
	}
	up, within := ask(leaf, first.Self()), ask(leaf, root.Self())
	late := first.NewReply(leaf.Self())
	defer late.Close()
	if err := first.Grant(leaf.Self(), beside.Self()); err != nil {
		t.Fatal(err)
	}
	sideways := ask(leaf, beside.Self())
	eventually(t, "the calls have arrived", func() bool {
		return leaf.up.framesOut.Load() >= 3 && root.down.framesIn.Load() >= 2
	})

	root.down.Close(nil)
	<-root.up.Done()
	root.BecomeRoot(errors.New("it was cut"))
	for _, a := range []chan answer{up, sideways} {
		if got := <-a; !errors.Is(got.err, core.ErrGone) {
			t.Errorf("a call beyond the root: %v", got.err)
		}
	}
	close(release)
	if got := <-within; got.body != "slow" || got.err != nil {
		t.Errorf("a call to the root: %+v", got)
	}
	eventually(t, "the leaf has heard of it", func() bool { return len(leaf.seen(EventOthersLeft)) == 1 })
	e := leaf.seen(EventOthersLeft)[0]
	for n, stays := range map[*testNode]bool{first: false, beside: false, root: true, middle: true, leaf: true} {
		if e.Stays(n.Self()) != stays {
			t.Errorf("context %d stays: %v", n.Self(), !stays)
		}
	}
	if e.ID != root.Self() || e.Err == nil {
		t.Errorf("the event is %+v, want the root %d and a reason", e, root.Self())
	}
	if _, err := leaf.call(first.Self(), nil); !errors.Is(err, core.ErrNoRoute) && !errors.Is(err, core.ErrGone) {
		t.Errorf("a call where there is no master: %v", err)
	}

	// The next master.
	const age = 1 << 30
	heir := &testNode{t: t}
	config := heir.config(c)
	config.Block, config.FirstHandle = core.Block{First: age + 1, N: age}, 1<<40
	heir.Router = New(config)
	t.Cleanup(heir.close)
	a, b := net.Pipe()
	if _, err := heir.Attach(t.Context(), LinkConfig{Peer: root.Self(), Carrier: a, Known: core.Block{First: 1, N: age}}); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Attach(t.Context(), LinkConfig{Peer: core.Master, Parent: true, Carrier: b}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the heir knows all", func() bool { return len(heir.seen(EventJoined)) == 3 })
	var order []core.ID
	for _, e := range heir.seen(EventJoined) {
		order = append(order, e.ID)
	}
	if want := []core.ID{root.Self(), middle.Self(), leaf.Self()}; !slices.Equal(order, want) {
		t.Errorf("they joined as %v, not %v", order, want)
	}
	heir.mustCall(leaf.Self(), "down")
	leaf.mustCall(heir.Self(), "up")
	if r := leaf.Relation(heir.Self()); r != RelationAncestor {
		t.Errorf("relation %d", r)
	}
	// An answer to the first master does not reach the second.
	if err := leaf.Send(t.Context(), core.Master, late.Handle(), 0, 0, []byte("late")); err != nil {
		t.Error(err)
	}
	leaf.mustCall(heir.Self(), "after that")

	// New contexts are below the root, with IDs that were never used.
	for range 2 {
		id, block, err := root.AllocID(t.Context())
		if err != nil || heir.routes.Load().find(id) != nil || block.N == 0 {
			t.Fatalf("allocated ID %d with block %v, %v; want an unused ID and a block", id, block, err)
		}
	}
	if reply := heir.NewReply(leaf.Self()); reply.Handle() <= 1<<40 {
		t.Errorf("handle %d", reply.Handle())
	} else {
		reply.Close()
	}
}

// A context that was detached brings along what it has, but no more than that.
func TestWhatIsNotKnownIsForged(t *testing.T) {
	heir := newMaster(t, Config{})
	k := &testNode{t: t}
	config := k.config(Config{})
	config.Self, config.Ancestors, config.Block = 5, []core.ID{core.Master}, core.Block{First: 100, N: 50}
	k.Router = New(config)
	t.Cleanup(k.close)
	k.child(Config{})
	a, b := net.Pipe()
	down, err := heir.Attach(t.Context(), LinkConfig{Peer: 5, Carrier: a, Known: core.Block{First: 1, N: 99}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Attach(t.Context(), LinkConfig{Peer: core.Master, Parent: true, Carrier: b}); err != nil {
		t.Fatal(err)
	}
	<-down.Done()
	if err := down.Err(); !errors.Is(err, core.ErrProtocol) {
		t.Errorf("the link ended with %v, want ErrProtocol", err)
	}
}
