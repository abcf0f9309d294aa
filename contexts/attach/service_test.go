//go:build linux

package attach_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/attach"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

// desk is the object of a service that processes which join look for.
type desk struct{ closed bool }

var (
	desks = contexts.NewService("test.desk", func(context.Context, *contexts.Node) (*desk, error) { return new(desk), nil })
	ask   = contexts.NewMethod(desks, "ask", func(*desk, context.Context, struct{}) (int, error) {
		return os.Getpid(), nil
	}, contexts.AllowDescendants)
)

func (d *desk) Close() { d.closed = true }

func init() { roles["ask"] = actAsClient }

// actAsClient joins a tree and asks the nearest desk, before it has one of its own and after.
func actAsClient(ctx context.Context, path string) error {
	m, err := attach.Join(ctx, path, nil)
	if err != nil {
		return err
	}
	v := told{Values: make(map[string]string)}
	for _, when := range []string{"before", "after"} {
		p, err := ask.Call(ctx, contexts.Nearest(m.Local()), struct{}{})
		v.Values[when] = strconv.Itoa(p)
		v.failed(when, err)
		if err := desks.Start(ctx, m.Local()); err != nil {
			return err
		}
	}
	own, err := desks.Object(ctx, m.Local())
	if err != nil {
		return err
	}
	if err := m.Close(); err != nil {
		return err
	}
	v.Values["closed"] = fmt.Sprint(own.closed)
	tell(v)
	return nil
}

// A process that has joined finds services as a child does. Those that it starts in its own context
// end when it leaves the tree.
func TestGuestUsesServices(t *testing.T) {
	self := treetest.Start(t, nil)
	host := treetest.Child(t, self)
	if err := desks.Register(t.Context(), self, host); err != nil {
		t.Fatal(err)
	}
	guest := act(t, "ask", listen(t, self, nil).Path(), nil)
	v := guest.must()
	p, err := pid.Call(t.Context(), host, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{"before": strconv.Itoa(p), "after": strconv.Itoa(guest.Cmd.Process.Pid), "closed": "true"} {
		if v.err(what) != nil || v.Values[what] != want {
			t.Errorf("%s: %q, %v; want %q", what, v.Values[what], v.err(what), want)
		}
	}
}
