//go:build linux || darwin || freebsd

package broker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := errors.New("it is over")
		begin := time.Now()
		ctx, c, stop := withClock(t.Context(), 10*time.Second, over)
		defer stop()
		time.Sleep(4 * time.Second)
		c.hold()
		c.hold()
		time.Sleep(time.Hour)
		c.goOn()
		time.Sleep(time.Hour)
		if ctx.Err() != nil {
			t.Fatal("it ended while it was held")
		}
		c.goOn()
		<-ctx.Done()
		if took := time.Since(begin); took != 2*time.Hour+10*time.Second || context.Cause(ctx) != over {
			t.Errorf("it ended after %v because %v, want 10 s without those in which it was held", took, context.Cause(ctx))
		}
		c.hold() // afterwards nothing happens
		c.goOn()
		none, c, stop := withClock(t.Context(), 0, over)
		c.hold()
		c.goOn()
		stop()
		if none.Err() != nil {
			t.Error("a clock without a time ended")
		}
	})
}
