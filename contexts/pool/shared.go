package pool

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// The files in the order of a lease: shared.go has the state, and puts those who want a lease in
// a line; serve.go lends to a line and says when it gets another connection; bound.go has what a
// host lets in; conn.go is the life of a connection; stats.go shows all of it.

// shared is what the pools of all names have in common. Its lock guards all that is below it:
// hosts, lines, connections and those who wait.
//
// A goroutine for each connection opens it, waits for its loss or its end, and closes it. Close
// waits for all of them.
type shared struct {
	// Immutable.
	cfg    Config
	open   opener
	ctx    context.Context // ends when the pool is closed
	cancel context.CancelFunc

	conns sync.WaitGroup // the goroutines of connections

	mu      sync.Mutex
	hosts   map[string]*host   // by key
	all     map[*conn]struct{} // in all states
	ends    int                // connections through which no other one goes, whatever their state
	full    int                // lines that want a connection because of Config.Total
	ending  int                // connections that are being closed, with nothing to wait for
	wanting *list.List         // of *line: those that want a connection and have no room, the first to want first
	resting *list.List         // of *conn: those without leases, the one that was used longest ago first
	errs    []error            // of connections that were closed
	closed  bool
}

// An opener makes a hop from the context before it; nil is the one that the pool belongs to.
type opener func(ctx context.Context, before *contexts.Node, hop connect.Method) (link, error)

// A host is the end of a hop path.
type host struct {
	pool   *shared
	key    string
	hops   []connect.Method
	before *host            // the end of the path without its last hop; nil: there is one hop
	after  int              // hosts that have this one before them
	lines  map[string]*line // by the name of the pool
	text   string           // the path, once it was asked for
	conns  int              // in all states
	bound                   // what the host lets in
}

// A line is a host in a pool of one name: the connections there, and those who wait for one.
type line struct {
	host    *host
	name    string
	before  *line // that of host.before, through whose connections these go; nil: there is none
	uses    int
	ready   []*conn
	opening []*conn
	lost    bool          // the last connection on the way was lost while one was being opened through it
	waiting *list.List    // of *waiter, the first first
	asking  *list.List    // of *line: those that want a connection and have none of this line to go through
	wants   *list.Element // in shared.wanting; nil: it is not there
	full    bool          // it wants one because of Config.Total
	asks    *list.Element // in before.asking; nil: it is not there
}

// A waiter waits for a lease. Whoever takes it out of the line sends to ready, which has
// capacity 1.
type waiter struct {
	ctx   context.Context // its values are for the connection that is opened on its account
	line  *line
	place *list.Element // nil: it has been served
	ready chan got
}

type got struct {
	lease *Lease
	err   error
}

func newShared(cfg Config, open opener) *shared {
	s := &shared{cfg: cfg, open: open, hosts: make(map[string]*host), all: make(map[*conn]struct{}), wanting: list.New(), resting: list.New()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// enqueue puts somebody at the end of a line, and serves the line. keys are those of the first
// hop, the first two, and so on.
func (s *shared) enqueue(ctx context.Context, name string, uses int, keys []string, hops []connect.Method) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &waiter{ctx: ctx, ready: make(chan got, 1)}
	if s.closed {
		w.ready <- got{err: ErrClosed}
		return w
	}
	l := s.hostOf(keys, hops).line(name, uses)
	w.line = l
	w.place = l.waiting.PushBack(w)
	s.serve(l)
	return w
}

// giveUp takes somebody out of the line. A lease that came meanwhile is given back. What is being
// opened and has nobody left to wait for it ends. The error is the last refusal of a host on the
// way, if there was one.
func (s *shared) giveUp(w *waiter) (refusal error) {
	s.mu.Lock()
	waits := w.place != nil
	if waits {
		l := w.line
		l.waiting.Remove(w.place)
		w.place = nil
		for h := l.host; h != nil && refusal == nil; h = h.before {
			refusal = h.refusal
		}
		s.abandon(l)
		s.forgetHost(l.host)
	}
	s.mu.Unlock()
	if !waits {
		if got := <-w.ready; got.lease != nil {
			got.lease.Release()
		}
	}
	return refusal
}

// reset has the connections to a host leave, with those through them. Those who wait for one of
// them that is being opened get another one.
func (s *shared) reset(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[key]
	if h == nil {
		return
	}
	for _, l := range h.lines {
		for _, c := range l.all() {
			s.leave(c)
		}
	}
	for _, l := range h.lines {
		s.serve(l)
	}
}

func (s *shared) close() error {
	s.mu.Lock()
	s.closed = true
	for _, h := range s.hosts {
		h.stopTimer()
		for _, l := range h.lines {
			l.fail(ErrClosed)
		}
	}
	s.mu.Unlock()
	s.cancel()
	s.conns.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := errors.Join(s.errs...)
	s.errs = nil
	return err
}

// The functions below are called with mu held.

// hostOf returns the host at the end of some hops, and makes it and those before it.
func (s *shared) hostOf(keys []string, hops []connect.Method) *host {
	last := len(keys) - 1
	h := s.hosts[keys[last]]
	if h == nil {
		h = &host{pool: s, key: keys[last], hops: hops, lines: make(map[string]*line), bound: bound{limit: s.cfg.PerHost}}
		s.hosts[h.key] = h
		if last > 0 {
			h.before = s.hostOf(keys[:last], hops[:last:last])
			h.before.after++
		}
	}
	return h
}

// line returns the line of a name, with so many leases for a connection, and makes it and those
// before it.
func (h *host) line(name string, uses int) *line {
	l := h.lines[name]
	if l == nil {
		l = &line{host: h, name: name, waiting: list.New(), asking: list.New()}
		h.lines[name] = l
		if h.before != nil {
			l.before = h.before.line(name, uses)
		}
	}
	l.uses = uses
	return l
}

// all returns the connections of a line that are not leaving.
func (l *line) all() []*conn {
	return slices.Concat(l.ready, l.opening)
}

// isAwaited reports whether somebody waits for a connection of a line.
func (l *line) isAwaited() bool { return l.waiting.Len() > 0 || l.asking.Len() > 0 }

// first returns who waits first for a connection of a line; nil if nobody does.
func (l *line) first() *waiter {
	if e := l.waiting.Front(); e != nil {
		return e.Value.(*waiter)
	}
	for e := l.asking.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*line).first(); w != nil {
			return w
		}
	}
	return nil
}

// answer gives the first of the line what it waits for, or an error.
func (l *line) answer(g got) {
	w := l.waiting.Remove(l.waiting.Front()).(*waiter)
	w.place = nil
	w.ready <- g
}

// fail gives an error to all who wait for a connection of a line.
func (l *line) fail(err error) {
	for l.waiting.Len() > 0 {
		l.answer(got{err: err})
	}
	for l.asking.Len() > 0 {
		child := l.asking.Front().Value.(*line)
		child.unask()
		child.fail(err)
	}
	l.host.pool.rest(l)
	l.host.pool.forgetHost(l.host)
}

// abandon ends what is being opened for a line, and for those before it, if nobody waits for it
// any more.
func (s *shared) abandon(l *line) {
	asked := l.asks != nil
	s.rest(l)
	if l.isAwaited() {
		return
	}
	l.lost = false
	for _, c := range slices.Clone(l.opening) {
		s.leave(c)
	}
	if asked {
		s.abandon(l.before)
	}
}

// forgetHost drops a host that has neither connections nor anybody who waits, and those before it
// that were there for its sake.
func (s *shared) forgetHost(h *host) {
	for ; h != nil && s.hosts[h.key] == h && h.conns == 0 && h.after == 0 && !h.isAwaited(); h = h.before {
		if h.isLearned() {
			s.later(h)
			return
		}
		h.stopTimer()
		delete(s.hosts, h.key)
		if h.before != nil {
			h.before.after--
		}
	}
}

func (h *host) isAwaited() bool {
	for _, l := range h.lines {
		if l.isAwaited() {
			return true
		}
	}
	return false
}

// count returns how many connections to a host are ready, and how many are being opened.
func (h *host) count() (ready, opening int) {
	for _, l := range h.lines {
		ready += len(l.ready)
		opening += len(l.opening)
	}
	return ready, opening
}

// because returns why a wait has ended, with the refusal of a server for whose sake it was one.
func because(ctx context.Context, refusal error) error {
	if refusal != nil {
		return fmt.Errorf("%w (waiting for a lease: the server let no further connection in: %v)", context.Cause(ctx), refusal)
	}
	return context.Cause(ctx)
}

// surplus is the time that a connection may take to open which nobody waits for any more, since
// they had leases of others.
const surplus = 30 * time.Second
