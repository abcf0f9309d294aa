package router

// gate has local senders wait for room, in the order in which they came.
type gate struct {
	limit, used int
	waiters     []*waiter
}

type waiter struct {
	size int
	ok   chan struct{} // capacity 1; exit sends when there is room, and takes the room for the waiter
}

// enter takes room, and reports whether it did. It does not overtake waiters. A frame that is
// larger than the gate passes alone.
func (g *gate) enter(size int) bool {
	if len(g.waiters) > 0 || g.used > 0 && g.used+size > g.limit {
		return false
	}
	g.used += size
	return true
}

// exit gives room back, and gives it to waiters in their order.
func (g *gate) exit(size int) {
	g.used -= size
	for len(g.waiters) > 0 {
		w := g.waiters[0]
		if g.used > 0 && g.used+w.size > g.limit {
			return
		}
		g.used += w.size
		g.waiters[0] = nil
		g.waiters = g.waiters[1:]
		w.ok <- struct{}{}
	}
}

// leave ends the waiting of w. It reports false if w has got room already.
func (g *gate) leave(w *waiter) bool {
	for i, v := range g.waiters {
		if v == w {
			g.waiters = append(g.waiters[:i], g.waiters[i+1:]...)
			return true
		}
	}
	return false
}
