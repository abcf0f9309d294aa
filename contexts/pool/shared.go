package pool

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect"
)

// forget is the time after which a bound that a server has taught rises by one.
const forget = 5 * time.Minute

// shared is what the pools of all names have in common. Its lock guards all that is below it:
// hosts, lines, connections and those who wait.
//
// A goroutine for each connection opens it, waits for its loss or its end, and closes it. Close
// waits for all of them.
type shared struct {
	// Immutable.
	cfg    Config
	open   func(context.Context, []connect.Method) (link, error)
	ctx    context.Context // ends when the pool is closed
	cancel context.CancelFunc

	conns sync.WaitGroup // the goroutines of connections

	mu      sync.Mutex
	hosts   map[string]*host
	total   int        // connections of all hosts, with those that are being opened or closed
	wanting *list.List // of *line: those that want a connection and have no room, the first to want first
	resting *list.List // of *conn: those without leases, the one that was used longest ago first
	errs    []error    // of connections that were closed
	closed  bool
}

// A host is the end of a hop path.
type host struct {
	pool    *shared
	key     string
	hops    []connect.Method
	lines   map[string]*line // by the name of the pool
	conns   int              // with those that are being opened or closed
	limit   int              // of conns, as the server has taught
	lowered time.Time        // when limit was last changed
}

// A line is a host in a pool of one name: the connections there, and those who wait for one.
type line struct {
	host    *host
	uses    int
	ready   []*conn
	opening int
	waiting *list.List    // of *waiter, the first first
	wants   *list.Element // in shared.wanting; nil: it is not there
}

type lineKey struct{ host, name string }

// A conn is a connection. It has left line.ready where it is to be closed or is lost.
type conn struct {
	line     *line
	link     link
	uses     int
	last     time.Time     // the end of the last use
	rest     *list.Element // in shared.resting; nil: it has leases or leaves
	idle     *time.Timer   // fires when it has rested for long; stopped where rest is nil
	leaving  bool          // it gets no more leases, and ends with the last one
	finished chan struct{} // closed when it is to be closed
}

// A waiter waits for a lease. Whoever takes it out of the line sends to ready, which has
// capacity 1.
type waiter struct {
	line  *line
	place *list.Element // nil: it has been served
	ready chan got
}

type got struct {
	lease *Lease
	err   error
}

func newShared(cfg Config, open func(context.Context, []connect.Method) (link, error)) *shared {
	s := &shared{cfg: cfg, open: open, hosts: make(map[string]*host), wanting: list.New(), resting: list.New()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// enqueue puts somebody at the end of a line, and serves the line.
func (s *shared) enqueue(key lineKey, uses int, hops []connect.Method) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &waiter{ready: make(chan got, 1)}
	if s.closed {
		w.ready <- got{err: ErrClosed}
		return w
	}
	h := s.hosts[key.host]
	if h == nil {
		h = &host{pool: s, key: key.host, hops: hops, lines: make(map[string]*line), limit: s.cfg.PerHost}
		s.hosts[key.host] = h
	}
	l := h.lines[key.name]
	if l == nil {
		l = &line{host: h, waiting: list.New()}
		h.lines[key.name] = l
	}
	l.uses, w.line = uses, l
	w.place = l.waiting.PushBack(w)
	s.serve(l)
	return w
}

// giveUp takes somebody out of the line. A lease that came meanwhile is given back.
func (s *shared) giveUp(w *waiter) {
	s.mu.Lock()
	waits := w.place != nil
	if waits {
		w.line.waiting.Remove(w.place)
		w.place = nil
		s.noLongerWants(w.line)
		s.forgetHost(w.line.host)
	}
	s.mu.Unlock()
	if !waits {
		if got := <-w.ready; got.lease != nil {
			got.lease.Release()
		}
	}
}

// The functions below are called with mu held.

// serve lends what stands to the first of a line, and has more connections opened for the others.
func (s *shared) serve(l *line) {
	for l.waiting.Len() > 0 {
		c := l.freest()
		if c == nil {
			break
		}
		c.lend()
	}
	for l.waiting.Len() > l.opening*l.uses {
		if !s.makeRoom(l) {
			if l.wants == nil {
				l.wants = s.wanting.PushBack(l)
			}
			return
		}
		s.start(l)
		if l.wants != nil {
			s.wanting.MoveToBack(l.wants) // others have their turn before its next one
		}
	}
	s.noLongerWants(l)
}

// serveWanting serves the lines that had no room.
func (s *shared) serveWanting() {
	for e := s.wanting.Front(); e != nil; {
		next := e.Next()
		s.serve(e.Value.(*line))
		e = next
	}
}

func (s *shared) noLongerWants(l *line) {
	if l.wants != nil && l.waiting.Len() <= l.opening*l.uses {
		s.wanting.Remove(l.wants)
		l.wants = nil
	}
}

// freest returns the connection with the most leases left, of equal ones that which was used
// last; nil if none has any.
func (l *line) freest() (best *conn) {
	for _, c := range l.ready {
		if c.uses < l.uses && (best == nil || c.uses < best.uses || c.uses == best.uses && c.last.After(best.last)) {
			best = c
		}
	}
	return best
}

// lend gives a lease to the first of the line.
func (c *conn) lend() {
	c.uses++
	c.wake()
	c.line.answer(got{lease: &Lease{conn: c}})
}

// answer gives the first of the line what it waits for, or an error.
func (l *line) answer(g got) {
	w := l.waiting.Remove(l.waiting.Front()).(*waiter)
	w.place = nil
	w.ready <- g
}

// makeRoom reports whether a connection may be opened for a line. Where it may not, a connection
// without leases that others have leaves; or else one of the host that has some gets no more, and
// leaves with the last one. The line is served then.
func (s *shared) makeRoom(l *line) bool {
	h := l.host
	if since := time.Since(h.lowered); h.limit < s.cfg.PerHost && since > forget {
		h.limit, h.lowered = h.limit+1, time.Now()
	}
	switch {
	case h.conns >= h.limit:
		s.leave(h.spare(l))
	case s.total >= s.cfg.Total:
		if e := s.resting.Front(); e != nil {
			s.leave(e.Value.(*conn))
		}
	default:
		return true
	}
	return false
}

// spare returns a connection of another line of a host that has the fewest leases, nil where one
// is leaving already.
func (h *host) spare(wanting *line) (best *conn) {
	standing := 0
	for _, l := range h.lines {
		standing += len(l.ready) + l.opening
		for _, c := range l.ready {
			if l != wanting && (best == nil || c.uses < best.uses) {
				best = c
			}
		}
	}
	if standing < h.conns {
		return nil // what is leaving makes room
	}
	return best
}

// leave has a connection get no more leases; nil does nothing.
func (s *shared) leave(c *conn) {
	if c == nil || c.leaving {
		return
	}
	c.leaving = true
	l := c.line
	for i := range l.ready {
		if l.ready[i] == c {
			l.ready = append(l.ready[:i:i], l.ready[i+1:]...)
			break
		}
	}
	c.wake()
	if c.uses == 0 {
		close(c.finished)
	}
}

// wake has a connection rest no more.
func (c *conn) wake() {
	if c.rest != nil {
		c.idle.Stop()
		c.line.host.pool.resting.Remove(c.rest)
		c.rest = nil
	}
}

// start opens a connection for a line.
func (s *shared) start(l *line) {
	l.opening++
	l.host.conns++
	s.total++
	s.conns.Go(func() { s.keep(l) })
}

// forgetHost drops a host that has neither connections nor anybody who waits.
func (s *shared) forgetHost(h *host) {
	if h.conns > 0 || h.limit < s.cfg.PerHost {
		return
	}
	for _, l := range h.lines {
		if l.waiting.Len() > 0 {
			return
		}
	}
	delete(s.hosts, h.key)
}

// The functions below take mu.

// keep is the goroutine of a connection.
func (s *shared) keep(l *line) {
	link, err := s.open(s.ctx, l.host.hops)
	s.mu.Lock()
	l.opening--
	if err != nil {
		s.refused(l, err)
		s.gone(l)
		s.mu.Unlock()
		return
	}
	c := &conn{line: l, link: link, last: time.Now(), finished: make(chan struct{})}
	l.ready = append(l.ready, c)
	s.serve(l)
	s.restLocked(c)
	s.serveWanting() // those for whose sake it should leave again
	s.mu.Unlock()

	select {
	case <-c.finished:
	case <-link.done:
	case <-s.ctx.Done():
	}
	s.mu.Lock()
	s.leave(c)
	s.mu.Unlock()
	err = link.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.errs = append(s.errs, err)
	}
	s.gone(l)
}

// refused deals with a connection that could not be opened. mu is held.
func (s *shared) refused(l *line, err error) {
	standing := 0
	for _, other := range l.host.lines {
		standing += len(other.ready)
	}
	if standing > 0 && connect.Temporary(err) && !s.closed {
		// The server lets no more in, and those who wait share what there is.
		l.host.limit, l.host.lowered = min(l.host.limit, standing), time.Now()
		if len(l.ready) > 0 {
			return
		}
	}
	if s.closed {
		err = ErrClosed
	}
	for l.waiting.Len() > 0 {
		l.answer(got{err: err})
	}
	s.noLongerWants(l)
}

// gone notes that a connection has ended, and gives its room to the first that wants it. mu is
// held.
func (s *shared) gone(l *line) {
	l.host.conns--
	s.total--
	if s.closed {
		return
	}
	s.serveWanting()
	s.serve(l)
	s.forgetHost(l.host)
}

// release takes a lease back.
func (s *shared) release(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.uses--
	c.last = time.Now()
	if c.leaving {
		if c.uses == 0 {
			select {
			case <-c.finished:
			default:
				close(c.finished)
			}
		}
		return
	}
	s.serve(c.line)
	s.restLocked(c)
	if c.rest != nil {
		s.serveWanting() // it may be in the way of others
	}
}

// restLocked has a connection without leases rest, and end when it has rested for long.
func (s *shared) restLocked(c *conn) {
	if c.uses > 0 || c.leaving || c.rest != nil {
		return
	}
	if s.cfg.Idle < 0 {
		s.leave(c)
		return
	}
	rest := s.resting.PushBack(c)
	c.rest = rest
	c.idle = time.AfterFunc(s.cfg.Idle, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.rest == rest {
			s.leave(c)
		}
	})
}

func (s *shared) close() error {
	s.mu.Lock()
	s.closed = true
	for _, h := range s.hosts {
		for _, l := range h.lines {
			for l.waiting.Len() > 0 {
				l.answer(got{err: ErrClosed})
			}
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
