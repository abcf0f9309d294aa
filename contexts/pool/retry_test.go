package pool

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/retry"
)

// A host that is down for a while is tried again for those who wait, and for nobody else.
func TestOpeningIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		p, s := newTestPool(Config{Retry: retry.Policy[string]{Attempts: 100, Pause: time.Second, MaxPause: 4 * time.Second, Elapsed: time.Minute,
			Notify: func(path string, _ int, err error, _ time.Duration) {
				if told.Add(1); path != (&host{hops: hopsTo("h")}).path() || !errors.Is(err, connect.ErrRefused) {
					t.Errorf("a pause was told of %s and %v, want the host and that it refused", path, err)
				}
			}}})
		defer closePool(t, p, s)
		down := func(err error) { s.set(func() { s.err = err }) }

		down(connect.ErrRefused)
		time.AfterFunc(20*time.Second, func() { down(nil) })
		began := time.Now()
		get(t, p, "h/sudo").Release()
		if took := time.Since(began); took < 20*time.Second || took > 24*time.Second || told.Load() == 0 {
			t.Errorf("the host was away for 20 s, and the lease came after %v and %d pauses, want at most 4 s later", took, told.Load())
		}

		if err := p.ResetHops(hopsTo("h")...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		down(connect.ErrRefused)
		began = time.Now()
		_, err := p.GetHops(t.Context(), hopsTo("h")...)
		if took := time.Since(began); !errors.Is(err, connect.ErrRefused) || took < 50*time.Second || took > time.Minute {
			t.Errorf("the host stays away: %v after %v, want its refusal after a minute", err, took)
		}

		down(connect.ErrPassword)
		began = time.Now()
		if _, err := p.GetHops(t.Context(), hopsTo("h")...); !errors.Is(err, connect.ErrPassword) || time.Since(began) > 0 {
			t.Errorf("a wrong password: %v after %v, want that at once", err, time.Since(began))
		}

		down(connect.ErrRefused)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := p.GetHops(ctx, hopsTo("h")...); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the end of the time", err)
		}
		synctest.Wait()
		before := told.Load()
		time.Sleep(time.Minute)
		if after := told.Load(); after != before || len(p.Stats()) != 0 {
			t.Errorf("nobody waits, and the host was tried %d times more; %+v is left", after-before, p.Stats())
		}

		// Those who wait beside a connection that stands wait for that.
		down(nil)
		p = p.Named("one", 1)
		first := get(t, p, "h")
		down(connect.ErrRefused)
		time.AfterFunc(10*time.Second, first.Release)
		get(t, p, "h").Release()
		if after := told.Load(); after != before {
			t.Errorf("beside a connection that stands, the host was tried again after %d pauses, want 0", after-before)
		}
	})
}
