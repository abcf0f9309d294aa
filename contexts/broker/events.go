//go:build linux || darwin || freebsd

package broker

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
	"github.com/mitosis-go/mitosis/core"
)

// hub hands events to those who watch them. The zero value has no watchers.
type hub struct {
	mu       sync.Mutex
	watchers map[*watcher]struct{} // guarded by mu
	seen     map[core.ID]struct{}  // guarded by mu: contexts of which "connected" was told, and that are there
}

// watcher is one who watches. An event for which there is no room is counted.
type watcher struct {
	events chan wire.BrokerFrame // capacity watcherRoom; the hub sends
	missed uint64                // guarded by the mu of the hub
}

const watcherRoom = 256

func (h *hub) watch() (w *watcher, end func()) {
	w = &watcher{events: make(chan wire.BrokerFrame, watcherRoom)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers == nil {
		h.watchers = make(map[*watcher]struct{})
	}
	h.watchers[w] = struct{}{}
	return w, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, w)
	}
}

// tellLocked tells all who watch. mu is held.
func (h *hub) tellLocked(state, path string, err error) {
	f := wire.BrokerFrame{Event: "host", State: state, Path: path, Time: time.Now().UTC().Format("2006-01-02T15:04:05.000Z")}
	if err != nil {
		f.Error = failureOf(err).frame().Error
	}
	for w := range h.watchers {
		if w.missed > 0 {
			select {
			case w.events <- wire.BrokerFrame{Event: "missed", Count: w.missed}:
				w.missed = 0
			default:
			}
		}
		select {
		case w.events <- f:
		default:
			w.missed++
		}
	}
}

// connected tells of the contexts on the way to a node that are new, and later of their ends. The
// hops lead to the node.
func (h *hub) connected(self, n *contexts.Node, hops []connect.Method) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ; n != nil && n.ID() != self.ID() && len(hops) > 0; n, hops = n.Parent(), hops[:len(hops)-1] {
		if _, known := h.seen[n.ID()]; known {
			return
		}
		if h.seen == nil {
			h.seen = make(map[core.ID]struct{})
		}
		h.seen[n.ID()] = struct{}{}
		path := pathOf(hops)
		h.tellLocked("connected", path, nil)
		go h.awaitEnd(n, path) // ends with the tree
	}
}

func (h *hub) awaitEnd(n *contexts.Node, path string) {
	<-n.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.seen, n.ID())
	if err := n.Err(); errors.Is(err, contexts.ErrClosed) {
		h.tellLocked("closed", path, nil)
	} else {
		h.tellLocked("lost", path, err)
	}
}

// failed tells of a host that could not be connected.
func (h *hub) failed(path string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tellLocked("failed", path, err)
}

// pathOf returns hops as a path with their options, or as they are shown where no word says all of
// one.
func pathOf(hops []connect.Method) string {
	if path, err := connect.FormatPath(hops); err == nil {
		return path
	}
	labels := make([]string, len(hops))
	for i, m := range hops {
		labels[i] = m.Label()
	}
	return strings.Join(labels, "/")
}

// watchEvents sends events until it is cancelled.
func (q *request) watchEvents() (wire.Frame, error) {
	w, end := q.s.b.events.watch()
	defer end()
	for {
		select {
		case f := <-w.events:
			if err := q.send(wire.Frame{Header: &f}); err != nil {
				return wire.Frame{}, err
			}
		case <-q.ctx.Done():
			if err := q.why(); !errors.Is(err, errCancelled) {
				return wire.Frame{}, err
			}
			return wire.Frame{Header: okFrame()}, nil
		}
	}
}
