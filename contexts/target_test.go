package contexts_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// All operations on a node also work on a managed host. The first use connects the host, and the
// next use after a loss connects it again.
func TestManagedHostIsATarget(t *testing.T) {
	self := start(t, nil)
	uses := map[string]func(t *testing.T, on *contexts.ManagedHost) error{
		"call": func(t *testing.T, on *contexts.ManagedHost) error {
			_, err := pid.Call(t.Context(), on, struct{}{})
			return err
		},
		"sequence": func(t *testing.T, on *contexts.ManagedHost) error {
			n := 0
			for _, err := range squares.Call(t.Context(), on, 3) {
				if err != nil {
					return err
				}
				n++
			}
			if n != 3 {
				t.Errorf("%d values came, want 3", n)
			}
			return nil
		},
		"dial": func(t *testing.T, on *contexts.ManagedHost) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			c, err := on.DialContext(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				return err
			}
			return c.Close()
		},
		"listen": func(t *testing.T, on *contexts.ManagedHost) error {
			l, err := on.Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			return l.Close()
		},
		"datagrams": func(t *testing.T, on *contexts.ManagedHost) error {
			c, err := on.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			return c.Close()
		},
		"command": func(t *testing.T, on *contexts.ManagedHost) error {
			out, err := on.Command(t.Context(), "echo", "here").Output()
			if err == nil && string(out) != "here\n" {
				t.Errorf("the command printed %q, want %q", out, "here\n")
			}
			return err
		},
	}
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			host := self.Manage(local.Child{}, nil)
			defer host.Close()
			if err := use(t, host); err != nil {
				t.Fatalf("the first use of the host ended with %v, want no error", err)
			}
			node, err := host.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_ = node.Close()
			<-node.Done()
			if err := use(t, host); err != nil {
				t.Errorf("the use after the loss of its context ended with %v, want no error", err)
			}
		})
	}
}

// A chain orders calls. It accepts no sequence, and is no node.
func TestChainTakesOnlyCalls(t *testing.T) {
	self := start(t, nil)
	chain := contexts.NewChain(child(t, self))
	defer chain.Close()
	for _, err := range squares.Call(t.Context(), chain, 3) {
		if !errors.Is(err, contexts.ErrRefused) {
			t.Errorf("a sequence on a chain: %v, want one that matches ErrRefused", err)
		}
	}
	if _, err := contexts.NodeOf(t.Context(), chain); !errors.Is(err, contexts.ErrRefused) {
		t.Errorf("NodeOf a chain: %v, want one that matches ErrRefused", err)
	}
}

// Nil is no target, in any of its forms.
func TestNoTarget(t *testing.T) {
	start(t, nil)
	for name, on := range map[string]contexts.Target{"nil": nil, "no node": (*contexts.Node)(nil), "no host": (*contexts.ManagedHost)(nil), "a zero node": new(contexts.Node)} {
		if _, err := pid.Call(t.Context(), on, struct{}{}); err == nil {
			t.Errorf("%s: a call succeeded, want an error", name)
		}
		for _, err := range squares.Call(t.Context(), on, 1) {
			if err == nil {
				t.Errorf("%s: a sequence has a value, want an error", name)
			}
		}
	}
}

// A path is connected hop by hop. If a hop fails, no context of the path is left.
func TestConnectPath(t *testing.T) {
	self := start(t, nil)
	node, err := self.ConnectPath(t.Context(), "local/local")
	if err != nil {
		t.Fatal(err)
	}
	if node.String() != "local/local" || node.Parent().String() != "local" || node.Parent().Parent().ID() != self.ID() {
		t.Errorf("the path leads to %v below %v, want local/local below local", node, node.Parent())
	}
	if _, err := pid.Call(t.Context(), node, struct{}{}); err != nil {
		t.Error(err)
	}
	before, err := self.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for path, class := range map[string]error{
		"": connect.ErrBadName, "local/ssh:-oProxyCommand=x": connect.ErrBadName, "local//local": connect.ErrBadName,
	} {
		if _, err := self.ConnectPath(t.Context(), path); !errors.Is(err, class) {
			t.Errorf("the path %q: %v, want one that matches %q", path, err, class)
		}
	}
	// The second hop fails when the first has been made.
	connect.RegisterSyntax("nowhere", func(string) (connect.Method, error) {
		return local.Exec{Argv: []string{"/no/such/tool"}}, nil
	})
	if _, err := self.ConnectPath(t.Context(), "local/nowhere"); !errors.Is(err, connect.ErrStart) {
		t.Errorf("a path with a missing tool: error %v, want one that matches ErrStart", err)
	}
	after, err := self.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) {
		t.Errorf("after paths that failed there are %d contexts, want %d as before", len(after), len(before))
	}
}

// Two children by the same hop have different paths. The name of a context that has gone is used
// again, so a host that was lost and is back keeps its name.
func TestSiblingsHaveDifferentPaths(t *testing.T) {
	self := start(t, nil)
	a, b, c := child(t, self), child(t, self), child(t, self)
	for n, want := range map[*contexts.Node]string{a: "local", b: "local#2", c: "local#3"} {
		if n.String() != want {
			t.Errorf("the path is %q, want %q", n, want)
		}
	}
	below := child(t, b)
	if below.String() != "local#2/local" {
		t.Errorf("the path below the second is %q, want local#2/local", below)
	}
	// The context itself has the same path.
	if out, err := whereAmI.Call(t.Context(), below, struct{}{}); err != nil || out != below.String() {
		t.Errorf("the context's own path is %q, %v, want %q", out, err, below)
	}
	_ = b.Close()
	if again := child(t, self); again.String() != "local#2" {
		t.Errorf("the path after the second was closed is %q, want local#2", again)
	}
	if hops, err := connect.ParsePath(below.String()); err != nil || len(hops) != 2 {
		t.Errorf("the path %v is parsed as %v, %v, want two hops", below, hops, err)
	}
}

var whereAmI = contexts.NewFunc("test.path", func(ctx context.Context, _ struct{}) (string, error) {
	return contexts.Self(ctx).String(), nil
})

// A function that calls itself in other contexts is declared first, and defined in an init
// function.
func TestFunctionThatCallsItself(t *testing.T) {
	self := start(t, nil)
	way := []*contexts.Node{child(t, self)}
	way = append(way, child(t, way[0]))
	if n, err := deeper.Call(t.Context(), self, way); err != nil || n != 3 {
		t.Errorf("the function went through %d contexts, %v, want 3", n, err)
	}
	for _, again := range []func(){
		func() { deeper.Define(func(context.Context, []*contexts.Node) (int, error) { return 0, nil }) },
		func() { contexts.Declare[int, int]("test.deeper") },
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.Contains(s, "target_test.go:") && !strings.Contains(s, "?:") {
					t.Errorf("a second definition: %q, want a panic with the line of the first", s)
				}
			}()
			again()
		}()
	}
}

var deeper = contexts.Declare[[]*contexts.Node, int]("test.deeper")

func init() {
	deeper.Define(func(ctx context.Context, way []*contexts.Node) (int, error) {
		if len(way) == 0 {
			return 1, nil
		}
		n, err := deeper.Call(ctx, way[0], way[1:])
		return n + 1, err
	})
}
