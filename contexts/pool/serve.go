package pool

import (
	"cmp"
	"container/list"
)

// All functions of this file are called with mu held.

// serve lends what stands to the first of a line, and has more connections opened for the others.
func (s *shared) serve(l *line) {
	s.lend(l)
	for l.isShort() {
		through, ok := s.makeRoom(l)
		if !ok {
			return
		}
		s.start(l, through)
		if l.wants != nil {
			s.wanting.MoveToBack(l.wants) // others have their turn before its next one
		}
	}
	s.rest(l)
}

// lend lends what stands to the first of a line.
func (s *shared) lend(l *line) {
	for l.waiting.Len() > 0 {
		c := l.freest()
		if c == nil {
			break
		}
		c.lend()
	}
}

// serveAsking serves the lines that ask for a connection to go through.
func (s *shared) serveAsking(l *line) {
	for _, child := range lines(l.asking) {
		if child.asks != nil {
			child.unask()
			s.serve(child)
		}
	}
}

// isShort reports whether a line needs more connections than it has and will have.
func (l *line) isShort() bool {
	return l.waiting.Len() > len(l.opening)*l.uses || l.asking.Len() > 0 && len(l.opening) == 0
}

// makeRoom reports whether a connection may be opened for a line, and through which one. Where it
// may not, the line wants it from then on, or asks for one to go through. What is in its way and
// has nothing to do leaves.
//
// Nobody keeps room while it waits for other room, so nobody waits for somebody who waits.
func (s *shared) makeRoom(l *line) (through *conn, ok bool) {
	s.noLongerFull(l)
	if !s.letsIn(l) {
		s.want(l)
		return nil, false
	}
	if l.before != nil {
		through = l.before.lightest(l)
		if through == nil || through.countOf(l) > 0 && s.mayGrow(l.before) {
			s.ask(l)
			return nil, false
		}
	}
	// The first that goes through a connection counts in its place.
	if s.ends >= s.cfg.Total && (through == nil || len(through.children) > 0) {
		s.want(l)
		if !l.full {
			l.full = true
			s.full++
		}
		if s.ending < s.full {
			if e := s.resting.Front(); e != nil {
				s.leave(e.Value.(*conn))
			}
		}
		return nil, false
	}
	return through, true
}

// letsIn reports whether the bounds of the host allow a connection more. Where they don't, one of
// another line leaves.
func (s *shared) letsIn(l *line) bool {
	h := l.host
	h.raise(s.cfg.PerHost)
	if h.conns >= h.limit {
		if c := h.spare(l); c != nil && (c.load() == 0 || !h.isBrief()) {
			s.leave(c)
		}
		if h.isLearned() {
			s.later(h)
		}
		return false
	}
	// The first is made alone: whoever asks for a password asks once, and a wrong one is tried
	// once. Then as many as stand.
	ready, opening := h.count()
	return opening < max(ready, 1)
}

// spare returns a connection of another line of a host that has the fewest leases; nil where one
// is leaving already, or something is being opened through each.
func (h *host) spare(wanting *line) (best *conn) {
	standing := 0
	for _, l := range h.lines {
		standing += len(l.ready) + len(l.opening)
		for _, c := range l.ready {
			if l != wanting && !c.isWayOfOpening() && (best == nil || c.load() < best.load()) {
				best = c
			}
		}
	}
	if standing < h.conns {
		return nil // what is leaving makes room
	}
	return best
}

// freest returns the connection with the most leases left, of equal ones that which was used
// last; nil if none has any.
func (l *line) freest() (best *conn) {
	for _, c := range l.ready {
		if c.uses < l.uses && !c.isLost() && (best == nil || c.uses < best.uses || c.uses == best.uses && c.last.After(best.last)) {
			best = c
		}
	}
	return best
}

// lightest returns the connection through which another one of a line goes: that with the fewest of
// the line, of equal ones that with the fewest in all, and then with the fewest leases. It returns
// nil if there is none.
func (l *line) lightest(of *line) (best *conn) {
	for _, c := range l.ready {
		if !c.isLost() && (best == nil || cmp.Or(cmp.Compare(c.countOf(of), best.countOf(of)),
			cmp.Compare(len(c.children), len(best.children)), cmp.Compare(c.uses, best.uses)) < 0) {
			best = c
		}
	}
	return best
}

// countOf returns how many connections of a line go through this one and stay.
func (c *conn) countOf(l *line) (n int) {
	for child := range c.children {
		if child.line == l && child.state != Leaving {
			n++
		}
	}
	return n
}

// mayGrow reports whether a line soon has one connection more, without anybody's leaving for it. A
// second connection of a line has a way of its own then, since it is opened for a load that is too
// much for the first.
func (s *shared) mayGrow(l *line) bool {
	h := l.host
	ready, opening := h.count()
	return l.wants == nil && (len(l.opening) > 0 || h.conns < h.limit && opening < max(ready, 1) && s.ends < s.cfg.Total)
}

// serveWanting serves the lines that had no room.
func (s *shared) serveWanting() {
	if s.wanting.Len() == 0 {
		return
	}
	for _, l := range lines(s.wanting) {
		if l.wants != nil {
			s.serve(l)
		}
	}
}

func lines(of *list.List) []*line {
	all := make([]*line, 0, of.Len())
	for e := of.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*line))
	}
	return all
}

// want notes that a line has no room. Then it does not ask, so that nothing is opened in vain; and
// those who ask for a way of their own have one together with others, if there is one.
func (s *shared) want(l *line) {
	if l.asks != nil {
		l.unask()
		s.rest(l.before)
	}
	if l.wants == nil {
		l.wants = s.wanting.PushBack(l)
	}
	if l.asking.Len() > 0 && l.lightest(nil) != nil {
		s.serveAsking(l)
	}
}

// ask notes that a line has no connection to go through, and has one opened.
func (s *shared) ask(l *line) {
	s.unwant(l)
	if l.asks == nil {
		l.asks = l.before.asking.PushBack(l)
	}
	s.serve(l.before)
}

// rest notes that a line wants nothing, if it is so.
func (s *shared) rest(l *line) {
	if l.isShort() {
		return
	}
	s.unwant(l)
	if l.asks != nil {
		l.unask()
		s.rest(l.before)
	}
}

func (s *shared) unwant(l *line) {
	if l.wants != nil {
		s.wanting.Remove(l.wants)
		l.wants = nil
		s.noLongerFull(l)
	}
}

func (s *shared) noLongerFull(l *line) {
	if l.full {
		l.full = false
		s.full--
	}
}

func (l *line) unask() {
	l.before.asking.Remove(l.asks)
	l.asks = nil
}
