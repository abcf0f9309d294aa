package contexts

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// bounds are what a hop allows below the context that it leads to. Zero fields
// leave it at what the tree allows.
type bounds struct {
	Depth    int `cbor:"1,keyasint,omitempty"` // hops
	Contexts int `cbor:"2,keyasint,omitempty"`
	// Silence is how long the connect may go without progress; see bounded.
	Silence time.Duration `cbor:"3,keyasint,omitempty"`
}

// depth is how many hops there may be below the new context, of which the tree
// would allow so many.
func (b bounds) depth(allowed int) int {
	if b.Depth > 0 {
		return min(b.Depth, allowed)
	}
	return allowed
}

// budgetOfChildren is the context that children have to ask before they
// connect; 0: they need not ask.
func (l *local) budgetOfChildren() core.ID {
	if l.maxContexts > 0 {
		return l.id
	}
	return l.budget
}

// takeContext takes a place for one more context below this one, here and in
// every ancestor that has a bound. release must be called when the new context
// is announced, from when on it counts by itself, or has failed.
func (l *local) takeContext(ctx context.Context) (release func(), err error) {
	if l.maxContexts > 0 {
		if !l.children.Take(len(l.router.Contexts()), l.maxContexts) {
			return nil, fmt.Errorf("%w: %d contexts below %s, as many as ManagedHostConfig.MaxContexts allows", ErrTooDeep, l.maxContexts, l.displayPath())
		}
	}
	here := func() {
		if l.maxContexts > 0 {
			l.children.GiveBack()
		}
	}
	if l.budget == 0 {
		return here, nil
	}
	next, stop := iter.Pull2(placeSeq.Call(ctx, l.node(l.budget), struct{}{}))
	if _, err, _ := next(); err != nil {
		stop()
		here()
		return nil, reasonWithoutCall(err)
	}
	return func() {
		stop()
		here()
	}, nil
}

// placeSeq is a place that is held for as long as somebody ranges over it. It
// calls itself in ancestors.
var placeSeq = DeclareSeq[struct{}, struct{}]("mitosis.place", AllowDescendants)

func init() {
	placeSeq.Define(func(ctx context.Context, _ struct{}) iter.Seq2[struct{}, error] {
		return func(yield func(struct{}, error) bool) {
			release, err := callOf(ctx).l.takeContext(ctx)
			if err != nil {
				yield(struct{}{}, err)
				return
			}
			defer release()
			if yield(struct{}{}, nil) {
				<-ctx.Done()
			}
		}
	})
}
