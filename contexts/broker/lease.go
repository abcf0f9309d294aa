//go:build linux || darwin || freebsd

package broker

import (
	"context"
	"path"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// openLease connects a path, and keeps it connected for the client.
func (q *request) openLease() (wire.Frame, error) {
	l, err := q.open()
	if err != nil {
		return wire.Frame{}, err
	}
	info, err := q.s.b.describe(q.ctx, l.Node())
	if err != nil {
		l.Release()
		return wire.Frame{}, err
	}
	q.s.lastLease++
	q.s.leases[q.s.lastLease] = l
	q.s.b.use(q.s, true)
	f := okFrame()
	f.Lease, f.Node = q.s.lastLease, info
	return wire.Frame{Header: f}, nil
}

// closeLease ends what openLease has begun.
func (q *request) closeLease() (wire.Frame, error) {
	l := q.s.leases[q.f.Lease]
	if l == nil {
		return wire.Frame{}, usage("the connection has no lease %d", q.f.Lease)
	}
	delete(q.s.leases, q.f.Lease)
	l.Release()
	q.s.b.unuse(q.s, true)
	return wire.Frame{Header: okFrame()}, nil
}

// reset has nobody use the present connections of a path any more.
func (q *request) reset() (wire.Frame, error) {
	hops, err := q.hops()
	if err != nil {
		return wire.Frame{}, err
	}
	return wire.Frame{Header: okFrame()}, q.s.b.pool.ResetHops(hops...)
}

// describe describes a context for clients.
func (b *broker) describe(ctx context.Context, n *contexts.Node) (*wire.Node, error) {
	// Figures of links are not needed: a ctx that has ended asks no host for them, of which one may stand
	// still.
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	infos, err := b.self.Tree(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range infos {
		if i.ID == n.ID() {
			return &wire.Node{Path: i.Path, Hostname: i.Hostname, User: i.User, UID: i.UID, PID: i.PID, OS: i.GOOS, Arch: i.GOARCH}, nil
		}
	}
	return nil, contexts.ErrGone
}

// allowed reports whether a path is one of those that are allowed, or goes beyond one.
func allowed(patterns []string, hopPath string) bool {
	if len(patterns) == 0 {
		return true
	}
	hops := connect.SplitPath(hopPath)
	for _, p := range patterns {
		if allows(connect.SplitPath(p), hops) {
			return true
		}
	}
	return false
}

// allows reports whether the first hops match the elements of a pattern. A wildcard stands for a part of
// a name, and for nothing that separates the parts of a hop: options may run programs here, and what is
// before a comma or an at sign leads to another host.
func allows(pattern, hops []string) bool {
	if len(hops) < len(pattern) || len(pattern) == 0 {
		return false
	}
	for i, p := range pattern {
		if hops[i] == p {
			continue
		}
		matches, err := path.Match(p, hops[i])
		if err != nil || !matches || strings.ContainsAny(hops[i], "?[%") {
			return false
		}
		for _, separator := range []string{":", ",", "@"} {
			if strings.Count(hops[i], separator) != strings.Count(p, separator) {
				return false
			}
		}
	}
	return true
}
