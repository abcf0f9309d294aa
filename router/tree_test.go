package router

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mitosis-go/mitosis/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discardLog = slog.New(slog.DiscardHandler)

// testNode is a router with a function at HandleCall, as a test sees it.
type testNode struct {
	*Router
	t      testing.TB
	up     *Link // to the parent
	down   *Link // the parent's end of it
	parent *testNode

	mu     sync.Mutex
	events []Event
	logs   []string
	serve  func(*testNode, Message) // answers calls; runs in a goroutine; nil: echo
	inline bool                     // serve on the reader; for benchmarks
	calls  sync.WaitGroup
}

func (n *testNode) config(c Config) Config {
	c.Handlers = map[core.Handle]func(Message){
		core.HandleCall: func(m Message) {
			if n.inline {
				n.answer(m)
				return
			}
			n.calls.Go(func() { n.answer(m) })
		},
		core.HandleLog:      func(m Message) { n.mu.Lock(); n.logs = append(n.logs, string(m.Body)); n.mu.Unlock() },
		core.HandleShutdown: func(Message) {},
		core.HandleLevel:    func(Message) {},
	}
	c.OnEvent = func(e Event) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.events = append(n.events, e)
	}
	if c.Log == nil {
		c.Log = discardLog
	}
	return c
}

func (n *testNode) answer(m Message) {
	n.mu.Lock()
	serve := n.serve
	n.mu.Unlock()
	if serve != nil {
		serve(n, m)
		return
	}
	if m.Flags&core.Cancel == 0 && m.Reply != 0 {
		_ = n.Send(context.Background(), m.Src, m.Reply, 0, 0, m.Body)
	}
}

func (n *testNode) handle(serve func(*testNode, Message)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.serve = serve
}

// left returns the events of a kind.
func (n *testNode) seen(k EventKind) []Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	var found []Event
	for _, e := range n.events {
		if e.Kind == k {
			found = append(found, e)
		}
	}
	return found
}

// newMaster makes the root of a tree that is closed with the test.
func newMaster(t testing.TB, c Config) *testNode {
	n := &testNode{t: t}
	c.Block = core.Block{First: 1, N: 1 << 30}
	n.Router = New(n.config(c))
	t.Cleanup(func() { n.close() })
	return n
}

func (n *testNode) close() {
	_ = n.Close(nil)
	n.calls.Wait()
}

// child makes a child over a pair of carriers, net.Pipe by default.
func (n *testNode) child(c Config, carriers ...io.ReadWriteCloser) *testNode {
	n.t.Helper()
	id, block, err := n.AllocID(context.Background())
	if err != nil {
		n.t.Fatal(err)
	}
	if len(carriers) == 0 {
		a, b := net.Pipe()
		carriers = []io.ReadWriteCloser{a, b}
	}
	k := &testNode{t: n.t, parent: n}
	c.Self, c.Block = id, block
	c.Ancestors = append([]core.ID{n.Self()}, n.routes.Load().ancestors...)
	k.Router = New(k.config(c))
	n.t.Cleanup(func() { k.close() })
	ctx := context.Background()
	if k.down, err = n.Attach(ctx, LinkConfig{Peer: id, Carrier: carriers[0], Info: []byte("child")}); err != nil {
		n.t.Fatal(err)
	}
	if k.up, err = k.Attach(ctx, LinkConfig{Peer: n.Self(), Parent: true, Carrier: carriers[1]}); err != nil {
		n.t.Fatal(err)
	}
	for a := n; a != nil; a = a.parent {
		eventually(n.t, "every ancestor knows the child", func() bool { return a.Relation(id) == RelationDescendant })
	}
	return k
}

// call sends a request and waits for the answer.
func (n *testNode) call(dst core.ID, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	reply := n.NewReply(dst)
	defer reply.Close()
	if err := n.Send(ctx, dst, core.HandleCall, reply.Handle(), 0, body); err != nil {
		return nil, err
	}
	select {
	case m := <-reply.C():
		return m.Body, m.Err
	case <-ctx.Done():
		return nil, errors.New("no answer")
	}
}

func (n *testNode) mustCall(dst core.ID, body string) {
	n.t.Helper()
	got, err := n.call(dst, []byte(body))
	if err != nil || string(got) != body {
		n.t.Fatalf("call from %d to %d: %q, %v", n.Self(), dst, got, err)
	}
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("it did not come about that %s", what)
}

// socketPair returns two connected sockets, in a way that every system has.
func socketPair(t testing.TB) (a, b io.ReadWriteCloser) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pair") // t.TempDir's names can be too long for an address
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	at := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("unix", at); err != nil { // the backlog takes it
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}
