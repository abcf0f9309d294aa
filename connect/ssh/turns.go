package ssh

import (
	"context"
	"sync"
)

// turns lets one at a time do something, for each name. The zero value is ready.
type turns struct {
	mu    sync.Mutex
	taken map[string]chan struct{} // guarded by mu; closed when the turn is over
}

// take waits for its turn under a name. done ends it.
func (t *turns) take(ctx context.Context, name string) (done func(), err error) {
	for {
		t.mu.Lock()
		over := t.taken[name]
		if over == nil {
			over = make(chan struct{})
			if t.taken == nil {
				t.taken = make(map[string]chan struct{})
			}
			t.taken[name] = over
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				defer t.mu.Unlock()
				delete(t.taken, name)
				close(over)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-over:
		case <-ctx.Done():
			return nil, contextError(ctx)
		}
	}
}
