//go:build linux || darwin || freebsd

package broker

import (
	"context"
	"sync"
	"time"
)

// clock ends a ctx after some time, during which it may be held. All methods are defined for nil, which
// never ends anything.
type clock struct {
	timer *time.Timer

	mu    sync.Mutex
	left  time.Duration // guarded by mu: when it ran last
	since time.Time     // guarded by mu: since when it runs
	holds int           // guarded by mu: it runs while this is 0
}

// withClock returns a ctx that ends when its clock has run so long; 0 is for ever. stop frees both.
func withClock(ctx context.Context, d time.Duration, cause error) (_ context.Context, _ *clock, stop func()) {
	if d <= 0 {
		return ctx, nil, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	c := &clock{left: d, since: time.Now(), timer: time.AfterFunc(d, func() { cancel(cause) })}
	return ctx, c, func() {
		c.hold()
		cancel(nil)
	}
}

// hold stops the clock until goOn is called as often.
func (c *clock) hold() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holds++; c.holds == 1 && c.timer.Stop() {
		c.left -= time.Since(c.since)
	}
}

func (c *clock) goOn() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holds--; c.holds == 0 {
		c.since = time.Now()
		c.timer.Reset(max(c.left, 0))
	}
}
