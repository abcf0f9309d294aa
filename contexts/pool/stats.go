package pool

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// A State is that of a connection.
type State uint8

// The states.
const (
	Opening State = iota // it is being made
	Ready                // it can be lent
	Leaving              // it gets no more leases, and ends with the last one
)

func (s State) String() string {
	switch s {
	case Opening:
		return "opening"
	case Ready:
		return "ready"
	case Leaving:
		return "leaving"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// A Stat is a connection at a moment.
type Stat struct {
	Path    string // see [HostStat]
	Pool    string // the name of the pool, "" for that of New
	State   State
	Uses    int            // leases at present
	Through int            // connections that go through it, in all states
	Leases  int            // leases since it was opened
	Age     time.Duration  // since its opening began
	Idle    time.Duration  // since the last use of it or of one through it; 0: it is in use, others go through it, or it is being opened
	Node    *contexts.Node // nil while it is being opened
}

// Stats returns the connections of the pools of all names, sorted by path, name and age, the
// oldest first.
func (p *Pool) Stats() []Stat {
	s := p.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var all []Stat
	for c := range s.all {
		st := Stat{Path: c.line.host.path(), Pool: c.line.name, State: c.state, Uses: c.uses, Through: len(c.children),
			Leases: c.leases, Age: now.Sub(c.began), Node: c.link.node}
		if c.uses == 0 && len(c.children) == 0 && !c.last.IsZero() {
			st.Idle = now.Sub(c.last)
		}
		all = append(all, st)
	}
	slices.SortFunc(all, func(a, b Stat) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Pool, b.Pool), cmp.Compare(b.Age, a.Age))
	})
	return all
}

// A HostStat is what a pool has to do with the end of a path at a moment.
type HostStat struct {
	// Path is as [connect.ParsePath] reads it. Where no word of a path can say a hop, there are
	// the labels of the hops.
	Path        string
	Connections int            // in all states
	Waiting     map[string]int // by the name of the pool, how many wait for a lease; names with none are left out
	// Bound is how many connections the host has at most. It is less than Config.PerHost where
	// the host has refused some; Refusal is why it refused the last one, nil if it let it in.
	Bound   int
	Refusal error
}

// Hosts returns the ends of paths with connections, those on the way included, and those for
// which somebody waits, and those of which a bound was learned. They are sorted by path.
func (p *Pool) Hosts() []HostStat {
	s := p.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []HostStat
	for _, h := range s.hosts {
		st := HostStat{Path: h.path(), Connections: h.conns, Waiting: make(map[string]int), Bound: h.limit, Refusal: h.refusal}
		for _, l := range h.lines {
			if n := l.waiting.Len(); n > 0 {
				st.Waiting[l.name] = n
			}
		}
		all = append(all, st)
	}
	slices.SortFunc(all, func(a, b HostStat) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// path returns the path to a host as text. mu is held.
func (h *host) path() string {
	if h.text == "" {
		var err error
		if h.text, err = connect.FormatPath(h.hops); err != nil {
			labels := make([]string, len(h.hops))
			for i, hop := range h.hops {
				labels[i] = hop.Label()
			}
			h.text = strings.Join(labels, "/")
		}
	}
	return h.text
}
