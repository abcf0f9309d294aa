// Package pacing bounds the concurrent handshakes with one server, which drops connections if
// there are too many.
package pacing

import (
	"context"
	"sync"
)

// MaxHandshakes bounds the connections to one server that are not authenticated yet. Above 10,
// sshd drops some at random by default (MaxStartups 10:30:100). It counts them a little longer
// than they need; four are left for that and for other clients.
const MaxHandshakes = 6

// A Pace gives turns to callers, so many at once for each key, first come, first served.
type Pace struct {
	Most int // for each key

	mu    sync.Mutex
	queue map[string]*paceQueue
}

type paceQueue struct {
	busy    int
	waiting []chan struct{} // closed by release when its turn has come
}

// Handshakes paces all methods of this process that log in at a server.
var Handshakes = Pace{Most: MaxHandshakes}

// Wait waits for a turn. It calls waits if there is none yet. release gives the turn back, and may
// be called more than once.
func (p *Pace) Wait(ctx context.Context, key string, waits func()) (release func(), err error) {
	p.mu.Lock()
	if p.queue == nil {
		p.queue = make(map[string]*paceQueue)
	}
	q := p.queue[key]
	if q == nil {
		q = &paceQueue{}
		p.queue[key] = q
	}
	release = sync.OnceFunc(func() { p.release(key) })
	if q.busy < p.Most {
		q.busy++
		p.mu.Unlock()
		return release, nil
	}
	turn := make(chan struct{})
	q.waiting = append(q.waiting, turn)
	p.mu.Unlock()
	waits()
	select {
	case <-turn:
		return release, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	for i, w := range q.waiting {
		if w == turn {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			p.mu.Unlock()
			return nil, context.Cause(ctx)
		}
	}
	p.mu.Unlock()
	release() // the turn came at the same moment
	return nil, context.Cause(ctx)
}

// release gives the turn to the caller who waits longest.
func (p *Pace) release(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.queue[key]
	if len(q.waiting) > 0 {
		close(q.waiting[0])
		q.waiting = q.waiting[1:]
		return
	}
	if q.busy--; q.busy == 0 {
		delete(p.queue, key)
	}
}

// Idle reports whether nobody has a turn.
func (p *Pace) Idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) == 0
}
