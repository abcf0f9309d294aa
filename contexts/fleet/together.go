package fleet

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// Together is [Do] for a function that works on many members at once, such as a copy that
// crosses each link of the tree once. It is called once for each batch, with the contexts of
// the members that could be connected, and returns a result for each, in their order.
//
// The policy counts as in Do, but for three things. FanOut bounds the members that are being
// connected; the function has all of a batch. A member is tried again only while it is being
// connected. StopAbove counts when a batch has been connected, and when it has ended. The
// results of a batch come when it has ended.
func Together[Out any](ctx context.Context, g *Group, do func(ctx context.Context, members []*Member, nodes []*contexts.Node) []contexts.Result[Out]) iter.Seq2[*Member, Result[Out]] {
	return func(yield func(*Member, Result[Out]) bool) {
		members := g.policy.ordered(slices.Collect(g.Members()))
		t := &together[Out]{operation: operation[Out]{policy: g.policy, members: len(members)}, group: g, do: do}
		defer t.sync()
		var ended error // why nothing more is begun
		for i, batch := range g.policy.batches(members) {
			if i > 0 && ended == nil {
				t.sync()
				ended = t.between(ctx, i)
			}
			for _, o := range t.batch(ctx, batch, ended) {
				if !yield(o.member, o.result) {
					return
				}
			}
		}
	}
}

// together is an operation of [Together]. The goroutine of its caller does all of it but the
// connecting.
type together[Out any] struct {
	operation[Out]
	group *Group
	do    func(ctx context.Context, members []*Member, nodes []*contexts.Node) []contexts.Result[Out]
}

// batch works on a batch and returns the results. If the operation has ended, no member of
// it is tried.
func (t *together[Out]) batch(ctx context.Context, batch []*Member, ended error) (results []outcome[Out]) {
	add := func(m *Member, r Result[Out]) {
		t.note(r.Err)
		results = append(results, outcome[Out]{m, r})
	}
	if ended == nil {
		ended = context.Cause(ctx)
	}
	var begun []string
	for _, m := range batch {
		if ended != nil {
			add(m, Result[Out]{Err: fmt.Errorf("%w: %w", ErrNotTried, ended)})
		} else if r, known := t.known(m); known {
			add(m, r)
		} else {
			begun = append(begun, m.name)
		}
	}
	p := t.policy
	connecting := t.group.Only(NewHosts(begun...)).With(Policy{FanOut: p.FanOut, ConnectTimeout: p.ConnectTimeout, Retry: p.Retry})
	var there []outcome[Out]
	var nodes []*contexts.Node
	for m, c := range each(ctx, connecting, func(_ context.Context, _ *Member, n *contexts.Node) (*contexts.Node, error) { return n, nil }) {
		r := Result[Out]{Err: c.Err, Attempts: c.Attempts, Took: c.Took}
		if c.Err != nil {
			r.Err = t.end(m, c.Err)
			add(m, r)
			continue
		}
		there, nodes = append(there, outcome[Out]{m, r}), append(nodes, c.Value)
	}
	t.work(ctx, there, nodes)
	for _, o := range there {
		o.result.Err = t.end(o.member, o.result.Err)
		add(o.member, o.result)
	}
	return results
}

// work calls the function for members that are connected, and fills their results in.
func (t *together[Out]) work(ctx context.Context, there []outcome[Out], nodes []*contexts.Node) {
	if err := t.stopped(); err != nil {
		for i := range there {
			there[i].result.Err = fmt.Errorf("%w: %w", ErrNotTried, err)
		}
		return
	}
	if len(there) == 0 {
		return
	}
	if t.policy.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t.policy.Timeout, errTimeout)
		defer cancel()
	}
	members := make([]*Member, len(there))
	for i, o := range there {
		members[i] = o.member
	}
	began := time.Now()
	results := t.do(ctx, members, nodes)
	took := time.Since(began)
	for i := range there {
		r := &there[i].result
		if r.Took += took; i < len(results) {
			r.Value, r.Err = results[i].Value, results[i].Err
		} else {
			r.Err = errors.New("fleet: the function has returned no result for this member")
		}
	}
}
