package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// Backlog bounds the connections that a listener holds.
const Backlog = 128

// Listeners are those that other contexts have at this one. The zero value has none.
type Listeners struct {
	mu    sync.Mutex
	next  uint64
	all   map[uint64]*Listener
	ended bool // Close has been called
}

// A Listener is one of another context. It holds connections, at its host, until
// they are claimed.
type Listener struct {
	// Immutable.
	t     *Listeners
	id    uint64
	owner core.ID
	ln    net.Listener
	room  chan struct{} // capacity Backlog; one sent by Next for each that is held, received by Claim

	// Guarded by Listeners.mu.
	conns   map[uint64]net.Conn
	claimed uint64      // those up to this number are about to be claimed; set by an orderly end
	ended   bool        // no more connections come
	timer   *time.Timer // gives up connections that are not claimed; nil before the end
}

// Add takes up a listener of another context, and gives it a number.
func (t *Listeners) Add(owner core.ID, ln net.Listener) *Listener {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[uint64]*Listener)
	}
	t.next++
	a := &Listener{t: t, id: t.next, owner: owner, ln: ln, room: make(chan struct{}, Backlog), conns: make(map[uint64]net.Conn)}
	t.all[a.id] = a
	return a
}

// CloseListener ends a listener with all its connections but those that its owner
// has accepted, for which a claim is on its way.
func (t *Listeners) CloseListener(owner core.ID, id, claimed uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.all[id]
	if a == nil || a.owner != owner {
		return net.ErrClosed
	}
	a.claimed = claimed
	return a.ln.Close()
}

// ID returns the number of the listener.
func (a *Listener) ID() uint64 { return a.id }

// Next waits for room and for a connection, and holds that until it is claimed by
// its number.
func (a *Listener) Next(ctx context.Context) (id uint64, c net.Conn, err error) {
	select {
	case a.room <- struct{}{}:
	case <-ctx.Done():
		return 0, nil, context.Cause(ctx)
	}
	if c, err = acceptNext(ctx, a.ln); err != nil {
		return 0, nil, err
	}
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	a.t.next++
	a.conns[a.t.next] = c
	return a.t.next, c, nil
}

// Remove forgets a listener that has ended. Connections that its owner has accepted
// are held until they are claimed, for a while.
func (a *Listener) Remove() {
	t := a.t
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, c := range a.conns {
		if n > a.claimed {
			Abort(c)
			delete(a.conns, n)
		}
	}
	a.ended = true
	if len(a.conns) == 0 || t.ended {
		t.forgetLocked(a)
		return
	}
	// The owner may be lost before it can claim them.
	a.timer = time.AfterFunc(claimTime, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.forgetLocked(a)
	})
}

// forgetLocked gives up the connections that a listener holds.
func (t *Listeners) forgetLocked(a *Listener) {
	if a.timer != nil {
		a.timer.Stop()
	}
	for _, c := range a.conns {
		Abort(c)
	}
	clear(a.conns)
	delete(t.all, a.id)
}

// Close gives up the connections of all listeners that have ended: the context has. The
// others are removed by the calls that added them.
func (t *Listeners) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	for _, a := range t.all {
		if a.ended {
			t.forgetLocked(a)
		}
	}
}

// claimTime bounds the time between the orderly end of a listener and the last claim, which
// was sent before.
const claimTime = 30 * time.Second

// Claim hands out a connection, once and only to the listener's owner.
func (t *Listeners) Claim(owner core.ID, id, conn uint64) (net.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.all[id]
	if a == nil || a.owner != owner || a.conns[conn] == nil {
		return nil, fmt.Errorf("%w: no such connection", net.ErrClosed)
	}
	c := a.conns[conn]
	delete(a.conns, conn)
	if a.ended && len(a.conns) == 0 {
		t.forgetLocked(a)
	}
	<-a.room
	return c, nil
}

// acceptNext accepts a connection. It waits while the process has no descriptor left: some
// will come free, and a listener that gives up for that is gone for good.
func acceptNext(ctx context.Context, ln net.Listener) (net.Conn, error) {
	for {
		c, err := ln.Accept()
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return c, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}
