package fakessh

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Somebody who comes before the time is over has it begin anew, and who waits without a
// time goes with the last user.
func TestUsage(t *testing.T) {
	const idle = time.Minute
	for name, c := range map[string]struct {
		idle time.Duration
		at   func(u *usage, hurry chan struct{}, cancel context.CancelFunc)
		want time.Duration
		err  error
	}{
		"nobody":          {0, func(*usage, chan struct{}, context.CancelFunc) {}, 0, nil},
		"nobody for long": {idle, func(*usage, chan struct{}, context.CancelFunc) {}, idle, nil},
		"one who goes": {0, func(u *usage, _ chan struct{}, _ context.CancelFunc) {
			u.add(1)
			go later(5*time.Second, func() { u.add(-1) })
		}, 5 * time.Second, nil},
		"one who comes": {idle, func(u *usage, _ chan struct{}, _ context.CancelFunc) {
			go later(idle-1, func() { u.add(1); u.add(-1) })
		}, 2*idle - 1, nil},
		"one who stays": {idle, func(u *usage, _ chan struct{}, _ context.CancelFunc) {
			go later(1, func() { u.add(1) })
			go later(3*idle, func() { u.add(-1) })
		}, 4 * idle, nil},
		"two": {0, func(u *usage, _ chan struct{}, _ context.CancelFunc) {
			u.add(2)
			go later(1, func() { u.add(-1) })
			go later(2, func() { u.add(-1) })
		}, 2, nil},
		"for good, hurry": {-1, func(_ *usage, hurry chan struct{}, _ context.CancelFunc) { go later(9*idle, func() { close(hurry) }) }, 9 * idle, nil},
		"hurry with one": {-1, func(u *usage, hurry chan struct{}, _ context.CancelFunc) {
			u.add(1)
			close(hurry)
			go later(idle, func() { u.add(-1) })
		}, idle, nil},
		"for good, an end": {-1, func(_ *usage, _ chan struct{}, cancel context.CancelFunc) { go later(idle, cancel) }, idle, context.Canceled},
		"an end with one":  {0, func(u *usage, _ chan struct{}, cancel context.CancelFunc) { u.add(1); go later(idle, cancel) }, idle, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, hurry := newUsage(), make(chan struct{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				c.at(u, hurry, cancel)
				begin := time.Now()
				if err := u.wait(ctx, c.idle, hurry); !errors.Is(err, c.err) {
					t.Errorf("%v, not %v", err, c.err)
				}
				if got := time.Since(begin); got != c.want {
					t.Errorf("it waited for %v, not for %v", got, c.want)
				}
			})
		})
	}
}

func later(d time.Duration, f func()) {
	time.Sleep(d)
	f()
}
