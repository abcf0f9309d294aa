package facts

import (
	"context"

	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// OfAll asks all members of a group for the facts of their hosts. [fleet.Where] makes groups
// of them:
//
//	all := facts.OfAll(ctx, group)
//	debian, unknown := fleet.Where(group, all, func(f facts.Facts) bool { return f.Distribution.Is("debian") })
//
// The policy of the group bounds how many are asked at once, and for how long. As a question
// changes nothing, it needs no batches, does not stop at failures, and is not in the journal.
func OfAll(ctx context.Context, g *fleet.Group) *fleet.Results[Facts] {
	p := g.Policy()
	p.Batches, p.Between, p.StopAbove, p.Journal = nil, nil, nil, nil
	return fleet.Collect(fleet.Call(ctx, g.With(p), Func, struct{}{}))
}
