package contexts

import (
	"context"
	"iter"
)

// Result is one answer of [Func.CallAll].
type Result[Out any] struct {
	Value Out
	Err   error
}

// CallAll calls the function in all the nodes at once and yields the results in
// the order in which they arrive, each with its node. Leaving the loop cancels
// the calls that have not ended. For no nodes there are no results.
func (f *Func[In, Out]) CallAll(ctx context.Context, nodes []*Node, in In) iter.Seq2[*Node, Result[Out]] {
	return func(yield func(*Node, Result[Out]) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		type answer struct {
			n *Node
			r Result[Out]
		}
		// There is room for all, so that nobody waits for a loop that was left.
		answers := make(chan answer, len(nodes))
		for _, n := range nodes {
			go func() {
				out, err := f.Call(ctx, n, in)
				answers <- answer{n, Result[Out]{out, err}}
			}()
		}
		for range nodes {
			a := <-answers
			if !yield(a.n, a.r) {
				return
			}
		}
	}
}
