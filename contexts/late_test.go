//go:build linux

package contexts_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// If a hop takes longer than its caller's time, its error matches connect.ErrTimeout and
// context.DeadlineExceeded. That holds whichever context makes the hop, and however long the path
// is.
func TestAHopThatTakesTooLongIsTimedOut(t *testing.T) {
	self, err := contexts.Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	child, err := self.Connect(t.Context(), local.Child{})
	if err != nil {
		t.Fatal(err)
	}
	grandchild, err := child.Connect(t.Context(), local.Child{})
	if err != nil {
		t.Fatal(err)
	}
	mute := local.Exec{Argv: []string{"sh", "-c", "exec sleep 1000"}}
	for name, n := range map[string]*contexts.Node{"here": self, "in a child": child, "in a grandchild": grandchild} {
		for what, from := range map[string]func(context.Context) error{
			"connect": func(ctx context.Context) error { _, err := n.Connect(ctx, mute); return err },
			"probe":   func(ctx context.Context) error { _, err := n.Probe(ctx, mute); return err },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			err := from(ctx)
			cancel()
			for _, class := range []error{connect.ErrTimeout, context.DeadlineExceeded} {
				if !errors.Is(err, class) {
					t.Errorf("%s, %s: error %v, want one that matches %q", what, name, err, class)
				}
			}
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
			if err = from(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, connect.ErrTimeout) {
				t.Errorf("%s, %s, cancelled: error %v, want one that matches %q and no timeout", what, name, err, context.Canceled)
			}
		}
	}
}
