package contexts_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// Callers come and go at random while makings fail and take their time. There are never two
// objects of a context, nor two runs for a key, at the same time. In the end nothing is left.
func TestServiceUnderLoad(t *testing.T) {
	noLeaks(t)
	var objects, makings atomic.Int32
	runs := map[string]*atomic.Int32{"concurrent": new(atomic.Int32), "serial": new(atomic.Int32)}
	single := func(n *atomic.Int32, of string) (done func()) {
		if now := n.Add(1); now != 1 {
			t.Errorf("%d %s at the same time, want one", now, of)
		}
		return func() { n.Add(-1) }
	}
	broken := errors.New("this time it fails")
	attempts := 0
	hook(t, &hooks.make, func(ctx context.Context) error {
		defer single(&makings, "makings")()
		attempts++
		if attempts%4 == 1 {
			return broken
		}
		select {
		case <-ctx.Done(): // nobody waits
			time.Sleep(time.Millisecond)
		case <-time.After(time.Duration(rand.N(5)) * time.Millisecond):
		}
		if attempts%4 == 2 {
			return broken
		}
		single(&objects, "objects") // until it is closed
		return nil
	})
	hook(t, &hooks.close, func(*tally) { objects.Add(-1) })
	hook(t, &hooks.work, func(ctx context.Context, in job) error {
		defer single(runs[in.Name], in.Name+" runs")()
		select {
		case <-ctx.Done():
			time.Sleep(time.Millisecond)
		case <-time.After(time.Duration(rand.N(3)) * time.Millisecond):
		}
		return ctx.Err()
	})
	for range 3 {
		attempts = 0
		self, err := contexts.Start(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ends, end := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		var done atomic.Int32
		for i := range 12 {
			callers.Go(func() {
				for ends.Err() == nil {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.N(4000))*time.Microsecond)
					var err error
					switch i % 4 {
					case 0:
						_, err = once.Call(ctx, self, job{Name: "concurrent"})
					case 1:
						_, err = turns.Call(ctx, self, job{Name: "serial"})
					case 2:
						_, err = add.Call(ctx, self, 1)
					case 3:
						err = tallies.Start(ctx, self)
					}
					cancel()
					if err == nil {
						done.Add(1)
					}
				}
			})
		}
		eventually(t, "calls come through", func() bool { return done.Load() > 300 })
		if err := self.Close(); err != nil { // while they call
			t.Error(err)
		}
		end()
		callers.Wait()
		if n := objects.Load(); n != 0 {
			t.Errorf("%d objects are not closed at the end, want none", n)
		}
	}
}
