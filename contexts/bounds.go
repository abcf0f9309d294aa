package contexts

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// bounds limit the contexts below the context that a hop leads to. For zero fields the
// bounds of the tree hold.
type bounds struct {
	Depth    int `cbor:"1,keyasint,omitempty"` // hops
	Contexts int `cbor:"2,keyasint,omitempty"`
	// Silence is how long nothing may move while the hop is made; see local.bounded.
	Silence time.Duration `cbor:"3,keyasint,omitempty"`
}

// depth returns how many hops there may be below the new context. allowed is the number
// that the tree would allow.
func (b bounds) depth(allowed int) int {
	if b.Depth > 0 {
		return min(b.Depth, allowed)
	}
	return allowed
}

// budgetOfChildren returns the context that children have to ask before they connect. 0
// means that they need not ask.
func (l *local) budgetOfChildren() core.ID {
	if l.maxContexts > 0 {
		return l.id
	}
	return l.budget
}

// takeContext takes a place for one more context below this one, here and in every
// ancestor that has a bound. release must be called when the new context has failed, or is
// announced: from then on it counts by itself.
func (l *local) takeContext(ctx context.Context) (release func(), err error) {
	if l.maxContexts > 0 {
		if !l.children.Take(l.router.Size(), l.maxContexts) {
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

// placeSeq takes a place, which is held for as long as the caller ranges over the sequence.
// The function calls itself in ancestors.
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
