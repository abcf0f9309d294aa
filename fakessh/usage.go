package fakessh

import (
	"context"
	"sync"
	"time"
)

// usage counts the users of something that ends when nobody uses it any more.
type usage struct {
	mu sync.Mutex
	n  int // guarded by mu

	// Capacity 1: the count has become 0, or is 0 no longer. Sent by add, received by
	// the one who waits.
	changed chan struct{}
}

func newUsage() *usage { return &usage{changed: make(chan struct{}, 1)} }

// add adds to the count, or takes from it.
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

// wait waits until nobody has been a user for so long; a negative time is for good.
// From when hurry is closed it only waits for the users.
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
