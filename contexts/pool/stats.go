package pool

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Stats is what a pool has to a host at a moment.
type Stats struct {
	Name    string // of the pool, "" for that of New
	Path    string // the labels of the hops
	Leases  int
	Waiting int // for a lease
	// Connections can be used, Opening are being opened. Others are being closed.
	Connections, Opening int
	// Limit is the bound for connections to the host at present, those of all names together.
	Limit int
	// Idle is the time since the last use of the connection that was used last.
	Idle time.Duration
}

// Stats returns what the pools of all names have, sorted by path and name.
func (p *Pool) Stats() []Stats {
	s := p.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Stats
	for _, h := range s.hosts {
		labels := make([]string, len(h.hops))
		for i, hop := range h.hops {
			labels[i] = hop.Label()
		}
		for name, l := range h.lines {
			st := Stats{Name: name, Path: strings.Join(labels, "/"), Waiting: l.waiting.Len(), Connections: len(l.ready), Opening: l.opening, Limit: h.limit}
			for i, c := range l.ready {
				st.Leases += c.uses
				if idle := time.Since(c.last); c.uses == 0 && (i == 0 || idle < st.Idle) {
					st.Idle = idle
				}
			}
			if st.Leases > 0 {
				st.Idle = 0
			}
			all = append(all, st)
		}
	}
	slices.SortFunc(all, func(a, b Stats) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Name, b.Name)) })
	return all
}
