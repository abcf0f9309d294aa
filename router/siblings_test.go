package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/mitosis-go/mitosis/core"
)

func TestSiblingsAndCousinsAreRefused(t *testing.T) {
	m := newMaster(t, Config{})
	a, b := m.child(Config{}), m.child(Config{})
	c := b.child(Config{})
	for _, to := range []*testNode{b, c} {
		for _, size := range []int{0, 100_000, 1 * mib} {
			if _, err := a.call(to.Self(), make([]byte, size)); !errors.Is(err, core.ErrRefused) {
				t.Errorf("%d bytes to %d: %v", size, to.Self(), err)
			}
		}
	}
	s := a.NewStream(b.Self())
	_ = a.Send(context.Background(), b.Self(), core.HandleCall, s.Handle(), 0, nil)
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, core.ErrRefused) {
		t.Errorf("a stream: %v", err)
	}
	s.Close()
	for h := core.Handle(1); h < 20; h++ {
		_ = a.Send(context.Background(), b.Self(), h, 0, 0, nil)
	}
	a.mustCall(0, "still there")
	checkIdle(t, a, b, c, m)
}

func TestAGrantLetsOneCallAndTheOtherAnswer(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	a, b := k.child(Config{}).child(Config{}), k.child(Config{})
	if err := m.Grant(a.Self(), b.Self()); err != nil {
		t.Fatal(err)
	}
	// What the master sends to a from now on comes after the grant.
	a.handle(func(n *testNode, q Message) {
		got, err := n.call(b.Self(), []byte("hello"))
		_ = n.Send(context.Background(), q.Src, q.Reply, 0, 0, fmt.Append(nil, string(got), err))
	})
	if got, err := m.call(a.Self(), nil); err != nil || string(got) != "hello<nil>" {
		t.Fatalf("the answer is %s, %v; want hello<nil>", got, err)
	}
	a.handle(nil)
	for _, size := range []int{100_000, 3 * mib} {
		if got, err := a.call(b.Self(), make([]byte, size)); err != nil || len(got) != size {
			t.Errorf("%d bytes: %d, %v", size, len(got), err)
		}
	}
	x, y := openStreams(t, a, b)
	go func() { _, _ = y.Write(make([]byte, 1*mib)); y.Close() }()
	if n, err := io.Copy(io.Discard, x); err != nil || n != 1*mib {
		t.Errorf("a stream: %d, %v", n, err)
	}
	x.Close()
	if _, err := b.call(a.Self(), nil); !errors.Is(err, core.ErrRefused) {
		t.Errorf("the other way: %v", err)
	}
	b.handle(func(n *testNode, q Message) {
		_ = n.Send(context.Background(), q.Src, q.Reply, 0, 0, fmt.Append(nil, q.Relation, q.Rights))
	})
	if got, _ := a.call(b.Self(), nil); string(got) != fmt.Sprint(RelationGranted, RightsFull) {
		t.Errorf("rights: %s", got)
	}
	// Once is enough, and for others there is nothing to be granted.
	if err := errors.Join(m.Grant(a.Self(), b.Self()), m.Grant(k.Self(), a.Self())); err != nil {
		t.Error(err)
	}
	if err := m.Grant(a.Self(), 999); !errors.Is(err, core.ErrNoRoute) {
		t.Errorf("a grant for a context that is not there: %v, want ErrNoRoute", err)
	}
	if err := a.Grant(b.Self(), k.Self()); !errors.Is(err, core.ErrNoRoute) {
		t.Errorf("by one that is not above: %v", err)
	}
	checkIdle(t, m, k, a, b)
}

func TestAllowSiblings(t *testing.T) {
	c := Config{AllowSiblings: true}
	m := newMaster(t, c)
	a, b := m.child(c).child(c), m.child(c).child(c)
	a.mustCall(b.Self(), "hello")
	b.mustCall(a.Self(), "hello")
	b.handle(func(n *testNode, q Message) {
		_ = n.Send(context.Background(), q.Src, q.Reply, 0, 0, fmt.Append(nil, q.Relation, q.Rights))
	})
	if got, _ := a.call(b.Self(), nil); string(got) != fmt.Sprint(RelationPeer, RightsLimited) {
		t.Errorf("rights: %s", got)
	}
}

func TestThoseWhoSpokeWithALostContextAreTold(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	a, b, c := k.child(Config{}).child(Config{}), k.child(Config{}), k.child(Config{})
	for _, n := range []*testNode{a, c} {
		if err := m.Grant(n.Self(), b.Self()); err != nil {
			t.Fatal(err)
		}
	}
	m.mustCall(a.Self(), "the grant is there")
	m.mustCall(c.Self(), "here, too")
	a.mustCall(b.Self(), "hello")
	c.Interest(b.Self()) // without a word to it
	m.mustCall(c.Self(), "the interest was noted before this")
	k.mustCall(b.Self(), "hello")

	got := make(chan struct{})
	b.handle(func(*testNode, Message) { close(got) })
	errs := make(chan error)
	go func() { _, err := a.call(b.Self(), nil); errs <- err }()
	<-got
	b.up.Close(nil)
	if err := <-errs; !errors.Is(err, core.ErrGone) {
		t.Errorf("who waits: %v", err)
	}
	for _, n := range []*testNode{a, c, k, m} {
		eventually(t, "it is known", func() bool {
			l := n.seen(EventLeft)
			return len(l) == 1 && l[0].ID == b.Self() && l[0].Err != nil
		})
	}
	// Interest in one that is gone already.
	a.Interest(b.Self())
	eventually(t, "the answer comes", func() bool { return len(a.seen(EventLeft)) == 2 })
}

func TestTheOneThatWasCalledIsToldOfItsCallersLoss(t *testing.T) {
	c := Config{AllowSiblings: true}
	m := newMaster(t, c)
	a, b := m.child(c), m.child(c)
	a.mustCall(b.Self(), "hello")
	_ = a.Close(nil)
	eventually(t, "it is known", func() bool { l := b.seen(EventLeft); return len(l) == 1 && l[0].ID == a.Self() })
	m.do(func() {
		if len(m.mux.pairs) != 0 {
			t.Errorf("pairs are left: %v", m.mux.pairs)
		}
	})
}
