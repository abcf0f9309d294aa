package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

func TestCallsGoBothWaysThroughAnyNumberOfHops(t *testing.T) {
	n := newMaster(t, Config{})
	nodes := []*testNode{n}
	for range 5 {
		n = n.child(Config{})
		nodes = append(nodes, n)
	}
	for _, a := range nodes {
		for _, b := range nodes {
			a.mustCall(b.Self(), fmt.Sprintf("from %d to %d", a.Self(), b.Self()))
		}
	}
	eventually(t, "the master knows all", func() bool { return len(nodes[0].seen(EventJoined)) == 5 })
	for i, e := range nodes[0].seen(EventJoined) {
		if e.ID != nodes[i+1].Self() || e.Parent != nodes[i].Self() || string(e.Info) != "child" {
			t.Errorf("event %+v", e)
		}
	}
}

func TestRelationAndRights(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	g := k.child(Config{})
	report := func(n *testNode, q Message) {
		_ = n.Send(context.Background(), q.Src, q.Reply, 0, 0, fmt.Append(nil, q.Relation, q.Rights))
	}
	for _, n := range []*testNode{m, k, g} {
		n.handle(report)
	}
	for _, c := range []struct {
		from, to *testNode
		relation Relation
		rights   Rights
	}{
		{m, k, RelationAncestor, RightsFull}, {m, g, RelationAncestor, RightsFull}, {k, g, RelationAncestor, RightsFull},
		{g, m, RelationDescendant, RightsLimited}, {g, k, RelationDescendant, RightsLimited}, {k, m, RelationDescendant, RightsLimited},
		{m, m, RelationSelf, RightsFull}, {g, g, RelationSelf, RightsFull},
	} {
		got, err := c.from.call(c.to.Self(), nil)
		if want := fmt.Sprint(c.relation, c.rights); err != nil || string(got) != want {
			t.Errorf("from %d to %d: %s, %v, want %s", c.from.Self(), c.to.Self(), got, err, want)
		}
	}
}

func TestMessagesOfAnySize(t *testing.T) {
	m := newMaster(t, Config{})
	g := m.child(Config{}).child(Config{})
	for _, size := range []int{0, 1, core.MaxBody - 1, core.MaxBody, core.MaxBody + 1, 200_000, messageWindow, messageWindow + 1, 5 * mib, 70 * mib} {
		if size > 10*mib && testing.Short() {
			continue
		}
		b := make([]byte, size)
		rng := rand.NewChaCha8([32]byte{byte(size)})
		_, _ = rng.Read(b)
		for _, way := range [][2]*testNode{{m, g}, {g, m}, {m, m}} {
			got, err := way[0].call(way[1].Self(), b)
			if err != nil || !bytes.Equal(got, b) {
				t.Fatalf("%d bytes from %d to %d: %d came back, %v", size, way[0].Self(), way[1].Self(), len(got), err)
			}
		}
	}
	checkIdle(t, m, g)
}

// checkIdle checks that nothing is left of what went on.
func checkIdle(t *testing.T, nodes ...*testNode) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, "all budgets are given back", func() bool {
			n.partials.mu.Lock()
			defer n.partials.mu.Unlock()
			n.transfers.mu.Lock()
			defer n.transfers.mu.Unlock()
			endpoints := 0
			for i := range n.endpoints.shards {
				s := &n.endpoints.shards[i]
				s.mu.Lock()
				endpoints += len(s.m)
				s.mu.Unlock()
			}
			return len(n.partials.m) == 0 && n.partials.used == 0 && len(n.transfers.m) == 0 && endpoints == 0 &&
				n.sendBudget.has() == n.limits.SendBudget && n.receiveBudget.has() == n.limits.ReceiveBudget
		})
	}
}

func (b *budget) has() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(b.left)
}

func TestManyLargeMessagesAtOnceAreAdmittedInTurn(t *testing.T) {
	limits := Limits{MessageBudget: 1 * mib, SendBudget: 1 * mib}
	m := newMaster(t, Config{Limits: limits})
	k := m.child(Config{Limits: limits}).child(Config{Limits: limits})
	errs := make(chan error)
	for i := range 20 {
		go func() {
			b := bytes.Repeat([]byte{byte(i)}, 300_000+i*100_000)
			got, err := m.call(k.Self(), b)
			if err == nil && !bytes.Equal(got, b) {
				err = errors.New("something else came back")
			}
			errs <- err
		}()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	checkIdle(t, m, k)
}

func TestTooLarge(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{Limits: Limits{MessageSize: 100_000}})
	if _, err := m.call(k.Self(), make([]byte, 1*mib)); !errors.Is(err, core.ErrTooLarge) {
		t.Errorf("to one that takes less: %v", err)
	}
	if _, err := m.call(k.Self(), make([]byte, 150_000)); !errors.Is(err, core.ErrTooLarge) {
		t.Errorf("within the first window: %v", err)
	}
	if _, err := k.call(m.Self(), make([]byte, 150_000)); !errors.Is(err, core.ErrTooLarge) {
		t.Errorf("beyond the own limit: %v", err)
	}
	m.handle(func(n *testNode, q Message) {
		_ = n.Send(context.Background(), q.Src, q.Reply, 0, 0, make([]byte, 150_000))
	})
	if _, err := k.call(m.Self(), nil); !errors.Is(err, core.ErrTooLarge) {
		t.Errorf("an answer that is too large: %v", err)
	}
	checkIdle(t, m, k)
}

func TestErrorsTravel(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	for _, size := range []int{10, 200_000} {
		k.handle(func(n *testNode, q Message) {
			err := fmt.Errorf("%s: %w", bytes.Repeat([]byte("x"), size), fs.ErrNotExist)
			_ = n.Send(context.Background(), q.Src, q.Reply, 0, core.Dead, core.EncodeError(err))
		})
		_, err := m.call(k.Self(), nil)
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, core.ErrGone) || len(err.Error()) < size {
			t.Errorf("the call ended with %v, want fs.ErrNotExist with a text of %d bytes", err, size)
		}
	}
	k.handle(func(n *testNode, q Message) {
		_ = n.Send(context.Background(), q.Src, q.Reply, 0, core.Dead, core.EncodeError(&core.Error{Kind: core.KindGone}))
	})
	if _, err := m.call(k.Self(), nil); err == nil || errors.Is(err, core.ErrGone) {
		t.Errorf("a function that lost its own callee looks like a lost hop: %v", err)
	}
	k.handle(func(n *testNode, q Message) { n.Refuse(q, core.ErrUnknownFunc) })
	if _, err := m.call(k.Self(), nil); !errors.Is(err, core.ErrUnknownFunc) {
		t.Errorf("the call ended with %v, want ErrUnknownFunc", err)
	}
}

func TestNoRoute(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	g := k.child(Config{})
	if _, err := m.call(99, nil); !errors.Is(err, core.ErrNoRoute) {
		t.Errorf("in the master: %v", err)
	}
	if _, err := g.call(99, nil); !errors.Is(err, core.ErrNoRoute) {
		t.Errorf("through the master: %v", err)
	}
	if _, err := g.call(99, make([]byte, 100_000)); !errors.Is(err, core.ErrNoRoute) {
		t.Errorf("a split message: %v", err)
	}
	if _, err := g.call(99, make([]byte, 1_000_000)); !errors.Is(err, core.ErrNoRoute) {
		t.Errorf("a large message: %v", err)
	}
	s := g.NewStream(99)
	if err := g.Send(context.Background(), 99, core.HandleCall, s.Handle(), 0, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, core.ErrNoRoute) {
		t.Errorf("a stream: %v", err)
	}
	s.Close()
	checkIdle(t, m, k, g)
}

func TestALostLinkWakesAllWhoWait(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	g := k.child(Config{})
	got := make(chan Message, 10)
	g.handle(func(n *testNode, q Message) { got <- q }) // and never answers
	m.handle(func(n *testNode, q Message) { got <- q })
	errs := make(chan error)
	go func() { _, err := m.call(g.Self(), nil); errs <- err }()
	go func() { _, err := k.call(g.Self(), nil); errs <- err }()
	go func() { _, err := g.call(m.Self(), nil); errs <- err }()
	for range 3 {
		<-got
	}
	g.up.carrier.Close()
	for range 3 {
		if err := <-errs; !errors.Is(err, core.ErrGone) {
			t.Errorf("a call ended with %v, want ErrGone", err)
		}
	}
	eventually(t, "the loss is known", func() bool {
		return len(m.seen(EventLeft)) == 1 && len(k.seen(EventLeft)) == 1 && len(g.seen(EventParentLost)) == 1
	})
	if _, err := m.call(g.Self(), nil); !errors.Is(err, core.ErrNoRoute) {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := g.call(m.Self(), nil); !errors.Is(err, core.ErrGone) {
		t.Errorf("afterwards, up: %v", err)
	}
	<-g.up.Done()
	if g.up.Err() == nil {
		t.Error("no reason is given")
	}
}

func TestTheLossOfAMiddleContextTakesAllBelow(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	g := k.child(Config{}).child(Config{}).child(Config{})
	m.mustCall(g.Self(), "hello")
	reason := errors.New("as the test wants it")
	k.down.Close(reason)
	eventually(t, "all have left", func() bool { return len(m.seen(EventLeft)) == 4 })
	for i, e := range m.seen(EventLeft) {
		if want := g.Self() - core.ID(0); i == 0 && e.ID != want || !errors.Is(e.Err, reason) {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if len(m.Contexts()) != 0 {
		t.Errorf("left over: %v", m.Contexts())
	}
}

func TestLastWordsArriveBeforeTheLoss(t *testing.T) {
	for range 50 {
		m := newMaster(t, Config{})
		k := m.child(Config{})
		g := k.child(Config{})
		g.handle(func(n *testNode, q Message) {
			_ = n.Send(context.Background(), q.Src, q.Reply, 0, 0, []byte("last words"))
			_ = n.Close(nil)
		})
		if got, err := m.call(g.Self(), nil); string(got) != "last words" {
			t.Fatalf("the answer is %q, %v; want what was sent before the end", got, err)
		}
		m.close()
	}
}

func TestSmallMessagesStayInOrder(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	g := k.child(Config{})
	const n = 2000
	for i := range n {
		if err := g.Send(context.Background(), core.Master, core.HandleLog, 0, 0, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all have come", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.logs) == n })
	for i, s := range m.logs {
		if s != fmt.Sprint(i) {
			t.Fatalf("%s came as number %d", s, i)
		}
	}
}

func TestCancelDoesNotOvertakeItsCall(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	got := make(chan core.Flags, 10)
	k.inline = true
	k.handle(func(_ *testNode, q Message) { got <- q.Flags })
	for _, size := range []int{1, 150_000} {
		reply := m.NewReply(k.Self())
		ctx := context.Background()
		if err := m.Send(ctx, k.Self(), core.HandleCall, reply.Handle(), 0, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := m.Send(ctx, k.Self(), core.HandleCall, reply.Handle(), core.Cancel, nil); err != nil {
			t.Fatal(err)
		}
		if a, b := <-got, <-got; a != 0 || b != core.Cancel {
			t.Errorf("%d bytes: %v, then %v", size, a, b)
		}
		reply.Close()
	}
	checkIdle(t, m, k)
}

func TestSendGivesUpWithItsContext(t *testing.T) {
	m := newMaster(t, Config{})
	a, b := net.Pipe() // nobody reads b
	defer b.Close()
	id, _, _ := m.AllocID(context.Background())
	if _, err := m.Attach(context.Background(), LinkConfig{Peer: id, Carrier: a}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := m.Send(ctx, id, core.HandleCall, 0, 0, make([]byte, 10*mib)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a large message: %v", err)
	}
	var err error
	for range 1000 {
		if err = m.Send(ctx, id, core.HandleCall, 0, 0, make([]byte, core.MaxBody)); err != nil {
			break
		}
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("many small messages: %v", err)
	}
}

func TestSendToSelf(t *testing.T) {
	m := newMaster(t, Config{})
	m.mustCall(0, "hello")
	reply := m.NewReply(0)
	defer reply.Close()
	if err := m.Send(context.Background(), 0, 77, reply.Handle(), 0, nil); err != nil {
		t.Fatal(err)
	}
	if q := <-reply.C(); !errors.Is(q.Err, core.ErrRefused) {
		t.Errorf("a handle that is not there: %v", q.Err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	arrived := make(chan struct{})
	k.handle(func(*testNode, Message) { close(arrived) })
	errs := make(chan error)
	go func() { _, err := m.call(k.Self(), nil); errs <- err }()
	s := m.NewStream(k.Self())
	go func() { _, err := s.Read(make([]byte, 1)); errs <- err }()
	<-arrived // the call waits for its answer
	_ = m.Close(nil)
	for range 2 {
		if err := <-errs; !errors.Is(err, core.ErrGone) && !errors.Is(err, core.ErrClosed) {
			t.Errorf("a call ended with %v, want ErrGone or ErrClosed", err)
		}
	}
	if err := m.Send(context.Background(), k.Self(), core.HandleCall, 0, 0, nil); !errors.Is(err, core.ErrClosed) {
		t.Errorf("send: %v", err)
	}
	if _, _, err := m.AllocID(context.Background()); !errors.Is(err, core.ErrClosed) {
		t.Errorf("allocate: %v", err)
	}
	if _, err := m.Attach(context.Background(), LinkConfig{Peer: 99, Carrier: k.up.carrier}); !errors.Is(err, core.ErrClosed) {
		t.Errorf("attach: %v", err)
	}
	if s := m.NewStream(k.Self()); s.Close() != nil {
		t.Error("a stream cannot be closed")
	}
}
