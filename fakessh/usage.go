package fakessh

import (
	"context"
	"sync"
	"time"
)

// usage counts the users of an object that ends when nobody uses it any more.
type usage struct {
	mu sync.Mutex
	n  int // guarded by mu

	// changed tells that the count has become 0, or is 0 no longer. Capacity 1; sender
	// add, which never blocks; receiver wait, of which one may run at a time.
	changed chan struct{}
}

func newUsage() *usage { return &usage{changed: make(chan struct{}, 1)} }

// add adds n to the count, which may be negative.
func (u *usage) add(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.n
	u.n += n
	if before == 0 || u.n == 0 {
		select {
		case u.changed <- struct{}{}:
		default:
		}
	}
}

func (u *usage) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.n
}

// wait returns when there has been no user for so long; with a negative time it waits until ctx
// ends. Once hurry is closed, it returns as soon as there is no user.
func (u *usage) wait(ctx context.Context, idle time.Duration, hurry <-chan struct{}) error {
	for ctx.Err() == nil {
		var over <-chan time.Time
		if u.count() == 0 {
			if idle == 0 {
				return nil
			} else if idle > 0 {
				timer := time.NewTimer(idle)
				over = timer.C
			}
		}
		select {
		case <-u.changed:
		case <-hurry:
			hurry, idle = nil, 0
		case <-over:
			if u.count() == 0 {
				return nil
			}
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}
