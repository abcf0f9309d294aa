package router

import (
	"context"
	"io"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/core"
)

// FuzzPeer has a child send frames of all kinds, out of a few numbers that mean
// something, to a router with a call, a stream and messages under way. Nothing
// may panic, nothing may be held when the child is gone, and the grandchild's
// place in the tree is not for the child's sibling to change.
func FuzzPeer(f *testing.F) {
	for h := range byte(20) {
		f.Add([]byte{0, 0, 0, h, 3, 0, 2, 0, 5})
		f.Add([]byte{0, 0, 0, h, 4, 3, 4, 5, 5, 0, 0, 0, 12, 3, 4, 0, 0})
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m := newMaster(t, Config{AllowSiblings: true, Limits: Limits{ControlRate: 1000}})
		var mu sync.Mutex // guards streams
		var streams []*Stream
		m.inline = true
		m.handle(func(n *testNode, q Message) {
			mu.Lock()
			defer mu.Unlock()
			if len(streams) < 10 {
				if s, err := n.AcceptStream(q); err == nil {
					streams = append(streams, s)
				}
			}
		})
		attach := func() (*Link, core.ID, *fed) {
			id, _, _ := m.AllocID(context.Background())
			c := &fed{discard: discard{c: make(chan struct{})}, in: make(chan []byte)}
			l, err := m.Attach(context.Background(), LinkConfig{Peer: id, Carrier: c})
			if err != nil {
				t.Fatal(err)
			}
			return l, id, c
		}
		l, id, carrier := attach()
		_, sibling, _ := attach()
		reply, other := m.NewReply(id), m.NewReply(sibling)
		s := m.NewStream(id)
		streams = append(streams, s)
		ids := []core.ID{0, id, sibling, id + 1, 9999, 1<<64 - 1}
		handles := []core.Handle{
			0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 999, reply.Handle(), other.Handle(), s.Handle(), s.Handle() + 1, 1 << 40,
		}
		bodies := [][]byte{
			nil, {0}, {1, 1}, {0x1a, 0, 1, 0, 0, 0}, {0x1a, 0, 8, 0, 0, 0}, make([]byte, 1000), make([]byte, core.MaxBody),
			core.EncodeError(context.Canceled), core.EncodeLinkError(&core.Error{Kind: core.KindGone}),
			encode(routeMessage{Joined: []routeEntry{{ID: id + 1, Parent: id}}}), encode(routeMessage{Left: []core.ID{id + 1, id, sibling}}),
			encode(goneMessage{IDs: []core.ID{0, sibling}}), encode(grantMessage{From: id, To: sibling}), encode(core.Block{First: 0, N: 100}),
		}
		for len(in) >= 7 {
			pick := func(n int) int { v := int(in[0]) % n; in = in[1:]; return v }
			h := core.Header{Dst: ids[pick(len(ids))], Src: ids[1], Auth: ids[1]}
			if v := pick(16); v < len(ids) && v > 0 {
				h.Src = ids[v]
			}
			if v := pick(16); v < len(ids) && v > 0 {
				h.Auth = ids[v]
			}
			h.Handle, h.Reply = handles[pick(len(handles))], handles[pick(len(handles))]
			h.Flags = core.Flags(pick(int(core.AllFlags) + 1))
			carrier.feed(newFrame(h, bodies[pick(len(bodies))]).Encoded())
		}
		carrier.feed(nil)
		if m.Relation(sibling) != RelationDescendant || m.Relation(0) != RelationSelf {
			t.Fatal("the sibling's place has changed")
		}
		l.Close(nil)
		<-l.Done()
		mu.Lock()
		defer mu.Unlock()
		for _, s := range streams {
			s.Close()
		}
		reply.Close()
		other.Close()
		checkEmpty(t, m)
		m.close()
	})
}

// fed is a carrier that gives what feed is given, one after the other.
type fed struct {
	discard
	in   chan []byte
	left []byte // owned by the reader
}

func (f *fed) Read(b []byte) (int, error) {
	for len(f.left) == 0 {
		select {
		case f.left = <-f.in:
		case <-f.c:
			return 0, io.EOF
		}
	}
	n := copy(b, f.left)
	f.left = f.left[n:]
	return n, nil
}

// feed returns when what was given before has been dealt with, or the link has
// ended.
func (f *fed) feed(b []byte) {
	select {
	case f.in <- b:
	case <-f.c:
	}
}

// checkEmpty is checkIdle without a wait: everything is done by now.
func checkEmpty(t *testing.T, n *testNode) {
	n.partials.mu.Lock()
	defer n.partials.mu.Unlock()
	if len(n.partials.m) != 0 || n.partials.used != 0 || len(n.partials.waiting) != 0 {
		t.Fatalf("%d split messages are left, %d bytes reserved", len(n.partials.m), n.partials.used)
	}
	if n.receiveBudget.has() != n.limits.ReceiveBudget || n.sendBudget.has() != n.limits.SendBudget {
		t.Fatal("a budget was not given back")
	}
}
