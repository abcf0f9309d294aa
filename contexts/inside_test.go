package contexts

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// inside is a context within the process of the test. So the test sees both ends of traffic between
// two contexts that are not the master.
type inside struct {
	*local
	t *testing.T
}

func insideMaster(t *testing.T) inside {
	return newInside(t, place{block: core.Block{First: 1, N: 1 << 30}})
}

func newInside(t *testing.T, at place) inside {
	cfg := (&Config{Log: slog.New(slog.DiscardHandler)}).withDefaults()
	l := newLocal(at, cfg)
	t.Cleanup(func() {
		l.Cancel(errShutdown)
		l.calls.Wait(callGrace)
		l.EndSend()
		_ = l.router.Close(nil)
		l.Tasks.Wait()
		if l.logs != nil {
			l.logs.Close()
		}
	})
	return inside{l, t}
}

// child makes a child of this context, within the same process.
func (p inside) child(label string) inside {
	p.t.Helper()
	id, block, err := p.router.AllocID(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	path := joinPath(p.selfNode, label)
	k := newInside(p.t, place{id: id, path: path, ancestors: p.ancestorsOfChild(), block: block})
	info, err := core.Marshal(childInfo{Label: label})
	if err != nil {
		p.t.Fatal(err)
	}
	a, b := net.Pipe()
	p.addNode(id, p.id, path)
	p.attach(router.LinkConfig{Peer: id, Carrier: a, Info: info})
	k.attach(router.LinkConfig{Peer: p.id, Parent: true, Carrier: b})
	return k
}

func (p inside) attach(c router.LinkConfig) {
	p.t.Helper()
	if _, err := p.router.Attach(context.Background(), c); err != nil {
		p.t.Fatal(err)
	}
}

// grant lets a talk to b, as an ancestor does that passes a the node of b.
func (p inside) grant(a, b inside) {
	p.t.Helper()
	if _, err := takeNode.Call(p.t.Context(), p.node(a.id), p.node(b.id)); err != nil {
		p.t.Fatal(err)
	}
}

var takeNode = NewFunc("test.takenode", func(context.Context, *Node) (struct{}, error) { return struct{}{}, nil })

// handedOver passes the far end of a ConnFunc to a test. The test owns that end until it calls
// release.
var handedOver = make(chan handed)

type handed struct {
	net.Conn
	release func()
}

var handOver = NewConnFunc("test.handover", func(ctx context.Context, conn net.Conn, _ struct{}) error {
	mine, release := context.WithCancel(context.Background())
	handedOver <- handed{conn, release}
	<-mine.Done()
	return nil
}, AllowDescendants)

func TestConnectionsBetweenAnyTwoContexts(t *testing.T) {
	for _, c := range []struct {
		name string
		up   bool
		make func(t *testing.T) (from, to inside)
	}{
		{name: "master to child", make: func(t *testing.T) (from, to inside) {
			m := insideMaster(t)
			return m, m.child("a")
		}},
		{name: "child to grandchild", make: func(t *testing.T) (from, to inside) {
			a := insideMaster(t).child("a")
			return a, a.child("b")
		}},
		{name: "granted siblings", make: func(t *testing.T) (from, to inside) {
			m := insideMaster(t)
			k := m.child("k")
			a, b := k.child("a"), k.child("b")
			k.grant(a, b)
			return a, b
		}},
		{name: "grandchild to master", up: true, make: func(t *testing.T) (from, to inside) {
			m := insideMaster(t)
			return m.child("a").child("b"), m
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := c.make(t)
			node := from.node(to.id)
			t.Run("function", func(t *testing.T) {
				nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
					near, err := handOver.Dial(context.Background(), node, struct{}{})
					if err != nil {
						return nil, nil, nil, err
					}
					far := <-handedOver
					return near, far, func() { near.Close(); far.release() }, nil
				})
			})
			if c.up {
				return // a descendant may not use the network of the master
			}
			t.Run("dialled", func(t *testing.T) {
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
					return connected(ln, func() (net.Conn, error) {
						return node.DialContext(context.Background(), "tcp", ln.Addr().String())
					})
				})
			})
			t.Run("accepted", func(t *testing.T) {
				ln, err := node.Listen(context.Background(), "tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
					return connected(ln, func() (net.Conn, error) {
						return net.Dial("tcp", ln.Addr().String())
					})
				})
			})
		})
	}
}

// connected returns both ends of a connection to a listener.
func connected(ln net.Listener, dial func() (net.Conn, error)) (a, b net.Conn, stop func(), err error) {
	if a, err = dial(); err != nil {
		return nil, nil, nil, err
	}
	if b, err = ln.Accept(); err != nil {
		a.Close()
		return nil, nil, nil, err
	}
	return a, b, func() { a.Close(); b.Close() }, nil
}
