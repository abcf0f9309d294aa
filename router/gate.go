package router

// gate makes local senders wait for room, in the order in which they came.
type gate struct {
	limit, used int
	waiters     []*waiter
}

type waiter struct {
	size int
	ok   chan struct{} // capacity 1; receives once there is room, which is then taken
}

// enter takes room if there is some and nobody waits for it. What is larger
// than the gate passes alone.
func (g *gate) enter(size int) bool {
	if len(g.waiters) > 0 || g.used > 0 && g.used+size > g.limit {
		return false
	}
	g.used += size
	return true
}

// exit gives room back, and hands it to the waiters in their order.
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

// leave ends the waiting of w and reports false if it had ended already.
func (g *gate) leave(w *waiter) bool {
	for i, v := range g.waiters {
		if v == w {
			g.waiters = append(g.waiters[:i], g.waiters[i+1:]...)
			return true
		}
	}
	return false
}
