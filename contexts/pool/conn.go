package pool

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/retry"
)

// A conn is a connection: the last hop of a path, made from the context at the end of the
// connection before it. It keeps that one from resting, and is closed before it.
type conn struct {
	// Immutable.
	line    *line
	through *conn // nil: the hop is made from the context that the pool belongs to
	began   time.Time

	finished  chan struct{} // closed when it leaves and nobody uses it or goes through it
	childless chan struct{} // closed when it leaves and nobody goes through it
	lost      chan struct{} // closed when it is lost, before those through it are closed

	// Guarded by shared.mu.
	cancel   context.CancelCauseFunc // ends the opening; nil when it has ended
	link     link                    // set when it is ready
	state    State
	uses     int
	leases   int                // ever
	children map[*conn]struct{} // those that go through it, in all states
	last     time.Time          // the end of the last use, of it or of one through it
	place    *list.Element      // in shared.resting; nil: it is used, leaves, or others go through it
	idle     *time.Timer        // fires when it has rested for long; stopped where place is nil
	watch    *time.Timer        // ends the opening when nobody has waited for it for long
	ending   bool               // it counts in shared.ending
	unwanted bool               // it left while it was being opened, and was not lost
}

// link is a connection as the pool sees it.
type link struct {
	node  *contexts.Node
	done  <-chan struct{} // closed when the connection is lost
	close func() error    // waits until all of it has ended
}

// maxErrors bounds the errors that Close returns.
const maxErrors = 20

// start opens a connection for a line. mu is held.
func (s *shared) start(l *line, through *conn) {
	c := &conn{line: l, through: through, began: time.Now(), children: make(map[*conn]struct{}),
		finished: make(chan struct{}), childless: make(chan struct{}), lost: make(chan struct{})}
	var ctx context.Context
	ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(l.first().ctx))
	l.opening = append(l.opening, c)
	l.host.conns++
	s.ends++
	s.all[c] = struct{}{}
	if through != nil {
		if len(through.children) == 0 {
			s.ends--
		}
		through.children[c] = struct{}{}
		through.wake()
	}
	c.watch = time.AfterFunc(surplus, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case c.state != Opening:
		case c.line.isAwaited():
			c.watch.Reset(surplus)
		default:
			s.leave(c)
		}
	})
	s.conns.Go(func() { s.keep(ctx, c) })
}

// keep is the goroutine of a connection. It takes mu.
func (s *shared) keep(ctx context.Context, c *conn) {
	link, err := s.connect(ctx, c)
	s.mu.Lock()
	if err != nil {
		s.failed(c, err)
		s.gone(c)
		s.mu.Unlock()
		return
	}
	s.opened(c, link)
	c.cancel = nil // it keeps the values of the one for whom this was opened
	s.mu.Unlock()

	var through <-chan struct{} // nil blocks
	if c.through != nil {
		through = c.through.lost
	}
	lost := true
	select {
	case <-c.finished:
		lost = false
	case <-link.done:
	case <-through:
	case <-s.ctx.Done():
	}
	if lost {
		s.mu.Lock()
		s.leave(c)
		s.end(c)
		close(c.lost)
		s.mu.Unlock()
	}
	<-c.childless
	err = link.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && len(s.errs) < maxErrors {
		s.errs = append(s.errs, err)
	}
	s.gone(c)
}

// connect makes the hop. It ends when the pool is closed, when nobody waits for it any more, and
// when the connection before it is lost.
func (s *shared) connect(ctx context.Context, c *conn) (l link, err error) {
	s.mu.Lock()
	cancel := c.cancel
	s.mu.Unlock()
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })()
	defer c.watch.Stop()
	if s.cfg.Opening != nil {
		ctx = s.cfg.Opening(ctx, c.line.host.key)
	}
	var before *contexts.Node
	if c.through != nil {
		before = c.through.link.node
	}
	h := c.line.host
	policy, path := s.retry(c)
	_, err = policy.Do(ctx, path, nil, func() error {
		l, err = s.open(ctx, before, h.hops[len(h.hops)-1])
		return err
	})
	return l, err
}

// retry returns when the opening of a connection is tried again, and the path of it. Where others
// stand, those who wait have these.
func (s *shared) retry(c *conn) (policy retry.Policy[string], path string) {
	policy = s.cfg.Retry
	isWorthIt := policy.If
	if isWorthIt == nil {
		isWorthIt = connect.Temporary
	}
	policy.If = func(err error) bool {
		s.mu.Lock()
		alone := c.state == Opening && c.line.host.conns == 1
		s.mu.Unlock()
		return alone && isWorthIt(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return policy, c.line.host.path()
}

// The functions below are called with mu held.

// opened notes that a connection is ready.
func (s *shared) opened(c *conn, link link) {
	l := c.line
	c.link, c.last = link, time.Now()
	l.host.letIn()
	if c.isLost() {
		s.failed(c, errLost)
		return
	}
	l.lost = false
	if c.state != Opening {
		return // it is not wanted any more
	}
	c.state = Ready
	l.dropOpening(c)
	l.ready = append(l.ready, c)
	s.lend(l)
	s.serveAsking(l)
	s.restConn(c)
	s.serveWanting() // those for whose sake it should leave again, too
	s.serve(l)
}

// failed notes that a connection could not be opened.
func (s *shared) failed(c *conn, err error) {
	if s.closed || c.unwanted {
		return
	}
	s.leave(c)
	l := c.line
	if c.through != nil && c.through.isLost() && !l.lost {
		// It was lost while it rested, perhaps, and nobody had noticed. So all is made anew;
		// but if that is lost, too, it is an error.
		l.lost = true
		return
	}
	l.lost = false
	s.refused(l, err)
}

// gone notes that a connection has ended, and gives its room to the first that wants it.
func (s *shared) gone(c *conn) {
	delete(s.all, c)
	c.line.host.conns--
	s.ends--
	if c.ending {
		s.ending--
	}
	if p := c.through; p != nil {
		delete(p.children, c)
		if c.last.After(p.last) {
			p.last = c.last
		}
		if len(p.children) == 0 {
			s.ends++
			s.settle(p)
			s.restConn(p)
		}
	}
	if s.closed {
		return
	}
	s.serveWanting()
	s.serve(c.line)
	s.forgetHost(c.line.host)
}

// lend gives a lease to the first of the line.
func (c *conn) lend() {
	c.uses++
	c.leases++
	c.wake()
	c.line.answer(got{lease: &Lease{conn: c}})
}

// release takes a lease back. It takes mu.
func (s *shared) release(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.uses--
	c.last = time.Now()
	if c.state == Leaving {
		s.settle(c)
		return
	}
	s.serve(c.line)
	s.restConn(c)
	if c.place != nil {
		s.serveWanting() // it may be in the way of others
	}
}

// leave has a connection get no more leases, nor those through it. One that is being opened ends.
func (s *shared) leave(c *conn) {
	if c.state == Leaving {
		return
	}
	if c.state == Opening {
		c.line.dropOpening(c)
		if c.through != nil && c.through.isLost() {
			c.cancel(errLost)
		} else {
			c.unwanted = true
			c.cancel(errUnwanted)
		}
	} else {
		c.line.ready = slices.DeleteFunc(c.line.ready, func(other *conn) bool { return other == c })
	}
	c.state = Leaving
	c.wake()
	for child := range c.children {
		s.leave(child)
	}
	s.settle(c)
}

func (l *line) dropOpening(c *conn) {
	l.opening = slices.DeleteFunc(l.opening, func(other *conn) bool { return other == c })
}

var (
	errUnwanted = errors.New("the connection is not wanted any more")
	errLost     = fmt.Errorf("the connection was lost: %w", contexts.ErrGone)
)

// settle notes that one which leaves has nothing to wait for any more, if it is so.
func (s *shared) settle(c *conn) {
	if c.state != Leaving || len(c.children) > 0 {
		return
	}
	closeOnce(c.childless)
	if c.uses == 0 {
		closeOnce(c.finished)
		s.end(c)
	}
}

func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// end notes that a connection is about to make room.
func (s *shared) end(c *conn) {
	if !c.ending {
		c.ending = true
		s.ending++
	}
}

// wake has a connection rest no more.
func (c *conn) wake() {
	if c.place != nil {
		c.idle.Stop()
		c.line.host.pool.resting.Remove(c.place)
		c.place = nil
	}
}

// restConn has a connection rest that nobody uses and nobody goes through. It leaves when it has
// rested for long.
func (s *shared) restConn(c *conn) {
	if c.state != Ready || c.uses > 0 || len(c.children) > 0 || c.place != nil {
		return
	}
	if s.cfg.Idle < 0 {
		s.leave(c)
		return
	}
	before := s.resting.Back()
	for before != nil && before.Value.(*conn).last.After(c.last) {
		before = before.Prev()
	}
	if before == nil {
		c.place = s.resting.PushFront(c)
	} else {
		c.place = s.resting.InsertAfter(c, before)
	}
	place := c.place
	c.idle = time.AfterFunc(s.cfg.Idle-time.Since(c.last), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.place == place {
			s.leave(c)
		}
	})
}

// load returns how much hangs on a connection: its leases, and those of the ones through it.
func (c *conn) load() int {
	n := c.uses
	for child := range c.children {
		n += child.load()
	}
	return n
}

// isWayOfOpening reports whether something is being opened through a connection.
func (c *conn) isWayOfOpening() bool {
	for child := range c.children {
		if child.state == Opening || child.isWayOfOpening() {
			return true
		}
	}
	return false
}

// isLost reports whether a connection, or one on the way, is lost. The goroutine of it may not
// have noticed yet.
func (c *conn) isLost() bool {
	for ; c != nil; c = c.through {
		select {
		case <-c.link.done:
			return true
		default:
		}
	}
	return false
}
