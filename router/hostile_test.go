package router

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// hostile is a child that speaks the protocol by hand.
type hostile struct {
	t    *testing.T
	id   core.ID
	conn io.ReadWriteCloser
	link *Link // the parent's end
	in   chan *core.Frame
}

// log collects records for a test.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), s)
}

// adversary attaches a hostile child. If it reads, what comes is in h.in.
func (n *testNode) adversary(t *testing.T, reads bool) *hostile {
	id, _, err := n.AllocID(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var a, b io.ReadWriteCloser
	if reads {
		a, b = net.Pipe()
	} else {
		a, b = socketPair(t)
	}
	l, err := n.Attach(context.Background(), LinkConfig{Peer: id, Carrier: a})
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{t: t, id: id, conn: b, link: l, in: make(chan *core.Frame, 10000)}
	t.Cleanup(func() { b.Close() })
	if reads {
		go func() {
			d := core.NewReader(b)
			for {
				f, err := d.Next()
				if err != nil {
					close(h.in)
					return
				}
				if f.Handle != core.HandlePing {
					h.in <- f
				}
			}
		}()
	}
	return h
}

// say writes a frame and reports whether the link still takes it.
func (h *hostile) say(x core.Header, body []byte) bool {
	_, err := h.conn.Write(append(core.AppendHeader(nil, &x, len(body)), body...))
	return err == nil
}

// from fills in the identity.
func (h *hostile) from(dst core.ID, handle, reply core.Handle, flags core.Flags) core.Header {
	return core.Header{Dst: dst, Src: h.id, Auth: h.id, Handle: handle, Reply: reply, Flags: flags}
}

func TestForgedFramesGoNowhere(t *testing.T) {
	var out log
	m := newMaster(t, Config{Log: slog.New(slog.NewTextHandler(&out, nil)), AllowSiblings: true, Limits: Limits{Violations: 100}})
	k := m.child(Config{AllowSiblings: true})
	calls := make(chan Message, 1000)
	m.handle(func(_ *testNode, q Message) { calls <- q })
	k.handle(func(_ *testNode, q Message) { calls <- q })
	h := m.adversary(t, true)
	for _, dst := range []core.ID{0, k.Self(), 999} {
		for _, x := range []core.Header{
			{Src: 0, Auth: 0}, {Src: k.Self(), Auth: k.Self()}, {Src: 999, Auth: 999}, {Src: h.id, Auth: 0},
			{Src: h.id, Auth: k.Self()}, {Src: k.Self(), Auth: h.id}, {Src: h.id + 1, Auth: h.id + 1},
		} {
			x.Dst, x.Handle, x.Reply = dst, core.HandleCall, 1234
			if !h.say(x, []byte("evil")) {
				t.Fatal("cut off too early")
			}
		}
	}
	h.say(h.from(0, core.HandleCall, 0, 0), []byte("good"))
	if q := <-calls; string(q.Body) != "good" || q.Src != h.id {
		t.Fatalf("the call arrives as %+v, want the one with the body good", q)
	}
	if got := h.link.Stats().Forged; got != 21 {
		t.Errorf("%d frames are counted as forged", got)
	}
	// It goes on until that is enough.
	for h.say(core.Header{Dst: 0, Src: k.Self(), Auth: k.Self(), Handle: core.HandleCall}, nil) {
	}
	<-h.link.Done()
	if !errors.Is(h.link.Err(), core.ErrProtocol) || !out.has("cut off") {
		t.Errorf("the link ended with %v, want it cut off", h.link.Err())
	}
	if len(calls) != 0 {
		t.Errorf("%d forged calls were delivered", len(calls))
	}
	k.handle(nil)
	m.mustCall(k.Self(), "others are well")
}

func TestAnswersInTheNameOfAnother(t *testing.T) {
	m := newMaster(t, Config{})
	k := m.child(Config{})
	h := m.adversary(t, true)
	s, far := openStreams(t, m, k)
	k.handle(func(*testNode, Message) {}) // never answers
	reply := m.NewReply(k.Self())
	_ = m.Send(context.Background(), k.Self(), core.HandleCall, reply.Handle(), 0, nil)
	for _, f := range []core.Flags{0, core.Dead, core.Credit, core.End, core.First | core.More} {
		h.say(h.from(0, reply.Handle(), 0, f), []byte{1, 0, 1})
		h.say(h.from(0, s.Handle(), far.Handle(), f), []byte{1, 0, 1})
		h.say(h.from(0, s.Handle(), 0, f), []byte{1, 0, 1})
	}
	eventually(t, "all are counted", func() bool { return h.link.Stats().Forged == 15 })
	select {
	case q := <-reply.C():
		t.Errorf("a forged answer was delivered: %+v", q)
	default:
	}
	if _, err := far.Write([]byte("ok")); err != nil {
		t.Error(err)
	}
	if n, err := s.Read(make([]byte, 10)); n != 2 || err != nil {
		t.Errorf("read %d bytes, %v; want the 2 of the right context", n, err)
	}
	reply.Close()
	s.Close()
	far.Close()
}

func TestRoutesThatAreNotTheChilds(t *testing.T) {
	for name, e := range map[string]func(h *hostile, k *testNode) routeEntry{
		"the master":           func(h *hostile, k *testNode) routeEntry { return routeEntry{ID: 0, Parent: h.id} },
		"itself":               func(h *hostile, k *testNode) routeEntry { return routeEntry{ID: h.id, Parent: h.id} },
		"a sibling":            func(h *hostile, k *testNode) routeEntry { return routeEntry{ID: k.Self(), Parent: h.id} },
		"one never given out":  func(h *hostile, k *testNode) routeEntry { return routeEntry{ID: 1 << 40, Parent: h.id} },
		"below a sibling":      func(h *hostile, k *testNode) routeEntry { return routeEntry{ID: h.id + 1, Parent: k.Self()} },
		"below nobody":         func(h *hostile, k *testNode) routeEntry { return routeEntry{ID: h.id + 1, Parent: 777} },
		"out of another block": func(h *hostile, k *testNode) routeEntry { return routeEntry{ID: k.Self() + 1, Parent: h.id} },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMaster(t, Config{})
			k := m.child(Config{})
			h := m.adversary(t, true)
			h.say(h.from(0, core.HandleRoute, 0, 0), encode(routeMessage{Joined: []routeEntry{e(h, k)}}))
			<-h.link.Done()
			if len(m.seen(EventJoined)) != 2 {
				t.Errorf("joined are %+v, want the 2 that were announced before", m.seen(EventJoined))
			}
			m.mustCall(k.Self(), "others are well")
		})
	}
}

func TestAnIDIsNotUsedTwice(t *testing.T) {
	m := newMaster(t, Config{})
	h := m.adversary(t, true)
	join := encode(routeMessage{Joined: []routeEntry{{ID: h.id + 1, Parent: h.id}}})
	h.say(h.from(0, core.HandleRoute, 0, 0), join)
	h.say(h.from(0, core.HandleRoute, 0, 0), encode(routeMessage{Left: []core.ID{h.id + 1, h.id, 0, 55}}))
	eventually(t, "it left", func() bool { return len(m.seen(EventLeft)) == 1 })
	if e := m.seen(EventLeft)[0]; e.ID != h.id+1 {
		t.Errorf("%+v has left, want context %d", e, h.id+1)
	}
	h.say(h.from(0, core.HandleRoute, 0, 0), join)
	<-h.link.Done()
}

func TestMalformedInput(t *testing.T) {
	for name, b := range map[string][]byte{
		"not CBOR":          []byte("Welcome to Ubuntu\n"),
		"another array":     {0x86, 0, 1, 1, 1, 0, 0x40},
		"indefinite length": {0x9f, 0, 1, 1, 1, 0, 0, 0x40, 0xff},
		"long form":         {0x87, 0x18, 0, 1, 1, 1, 0, 0, 0x40},
		"negative":          {0x87, 0x20, 1, 1, 1, 0, 0, 0x40},
		"body of text":      {0x87, 0, 1, 1, 1, 0, 0, 0x60},
		"oversize":          {0x87, 0, 1, 1, 1, 0, 0, 0x5a, 0xff, 0xff, 0xff, 0xff},
		"one too long":      {0x87, 0, 1, 1, 1, 0, 0, 0x5a, 0, 1, 0, 1},
		"unknown flag":      {0x87, 0, 1, 1, 1, 0, 0x18, 64, 0x40},
		"route":             core.AppendHeader(nil, &core.Header{Src: 1, Auth: 1, Handle: core.HandleRoute}, 0),
		"IDs":               core.AppendHeader(nil, &core.Header{Src: 1, Auth: 1, Handle: core.HandleIDs}, 0),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMaster(t, Config{})
			h := m.adversary(t, true)
			_, _ = h.conn.Write(b)
			<-h.link.Done()
			if !errors.Is(h.link.Err(), core.ErrProtocol) {
				t.Errorf("the link ended with %v, want ErrProtocol", h.link.Err())
			}
		})
	}
}

// TestFloods has a child do as much as it can of one thing, without ever
// reading, and looks at what that costs the parent and another child.
func TestFloods(t *testing.T) {
	body := make([]byte, 60_000)
	for name, flood := range map[string]func(h *hostile, i int, to core.ID) bool{
		"pings":    func(h *hostile, i int, _ core.ID) bool { return h.say(h.from(0, core.HandlePing, 0, 0), []byte{1}) },
		"calls":    func(h *hostile, i int, _ core.ID) bool { return h.say(h.from(0, core.HandleCall, 0, 0), body) },
		"unknown":  func(h *hostile, i int, _ core.ID) bool { return h.say(h.from(0, 777, 2000, 0), body) },
		"no route": func(h *hostile, i int, _ core.ID) bool { return h.say(h.from(9999, core.HandleCall, 2000, 0), body) },
		"sibling":  func(h *hostile, i int, to core.ID) bool { return h.say(h.from(to, core.HandleCall, 2000, 0), body) },
		"credit":   func(h *hostile, i int, _ core.ID) bool { return h.say(h.from(0, 5000, 0, core.Credit), []byte{1, 0}) },
		"handles":  func(h *hostile, i int, _ core.ID) bool { return h.say(h.from(0, core.Handle(2000+i), 3000, 0), body) },
		"IDs":      func(h *hostile, i int, _ core.ID) bool { return h.say(h.from(0, core.HandleIDs, 2000, 0), []byte{1}) },
		"interest": func(h *hostile, i int, _ core.ID) bool {
			return h.say(h.from(core.ID(5000+i), core.HandleGone, 0, 0), nil)
		},
		"log":        func(h *hostile, i int, _ core.ID) bool { return h.say(h.from(0, core.HandleShutdown, 0, 0), body) },
		"continuing": func(h *hostile, i int, _ core.ID) bool { return h.say(h.from(0, core.HandleMore, 2000, 0), body) },
		"messages": func(h *hostile, i int, _ core.ID) bool {
			b := append(core.AppendUint(core.AppendUint(nil, 100*mib), 0), body...)
			return h.say(h.from(0, core.HandleCall, core.Handle(2000+i), core.First|core.More), b)
		},
		"tiny messages": func(h *hostile, i int, _ core.ID) bool {
			b := core.AppendUint(core.AppendUint(nil, 100), 0)
			return h.say(h.from(0, core.HandleCall, core.Handle(2000+i), core.First|core.More), b)
		},
		"routes": func(h *hostile, i int, _ core.ID) bool {
			e := routeEntry{ID: h.id + 1 + core.ID(i%1000), Parent: h.id, Info: body[:4000]}
			return h.say(h.from(0, core.HandleRoute, 0, 0), encode(routeMessage{Joined: []routeEntry{e}})) &&
				h.say(h.from(0, core.HandleRoute, 0, 0), encode(routeMessage{Left: []core.ID{e.ID}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMaster(t, Config{Limits: Limits{PartialBytes: 8 * mib, MessageBudget: 8 * mib, ChildQueue: 8 * mib}})
			k := m.child(Config{})
			m.handle(func(*testNode, Message) {})
			h := m.adversary(t, false)
			before := heap()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for i := range 5_000 {
					if !flood(h, i, k.Self()) {
						return // cut off, which is fine
					}
				}
			}()
			slowest := time.Duration(0)
			for flooding := true; flooding; {
				start := time.Now()
				m.mustCall(k.Self(), "others are well")
				slowest = max(slowest, time.Since(start))
				select {
				case <-done:
					flooding = false
				default:
				}
			}
			if grown := heap() - before; grown > 40*mib {
				t.Errorf("%d MiB more are in use", grown/mib)
			}
			if slowest > 2*time.Second {
				t.Errorf("a call of another child took %v", slowest)
			}
			h.conn.Close()
			<-h.link.Done()
			checkIdle(t, m, k)
		})
	}
}

func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func TestAStreamWithoutCreditIsReset(t *testing.T) {
	m := newMaster(t, Config{})
	accepted := make(chan *Stream, 1)
	m.handle(func(n *testNode, q Message) {
		s, _ := n.AcceptStream(q)
		accepted <- s
	})
	h := m.adversary(t, true)
	h.say(h.from(0, core.HandleCall, 2000, 0), nil)
	credit := <-h.in
	s := <-accepted
	for i := range 100 {
		if !h.say(h.from(0, credit.Reply, 2000, 0), make([]byte, 60_000)) {
			t.Fatalf("the link is cut off after %d frames", i)
		}
	}
	_, err := io.Copy(io.Discard, s)
	if err != nil && !errors.Is(err, core.ErrProtocol) {
		t.Errorf("the stream ended with %v, want its end or ErrProtocol", err)
	}
	s.Close()
	checkIdle(t, m)
}

func TestAPartialThatDoesNotGoOnIsGivenUp(t *testing.T) {
	m := newMaster(t, Config{Limits: Limits{PartialIdle: 60 * time.Millisecond, MessageBudget: 1 * mib}})
	h := m.adversary(t, true)
	b := core.AppendUint(core.AppendUint(nil, 1*mib), 3000)
	h.say(h.from(0, core.HandleCall, 2000, core.First|core.More), b)
	for f := range h.in {
		if f.Handle == 2000 && f.Flags == core.Dead {
			break
		}
	}
	checkIdle(t, m)
}
