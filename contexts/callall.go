package contexts

import (
	"context"
	"iter"
)

// Result is one answer of [CallAll].
type Result[Out any] struct {
	Value Out
	Err   error
}

// CallAll calls the function on all the targets at once and yields the results in
// the order in which they arrive, each with its target. Leaving the loop cancels
// the calls that have not ended. For no targets there are no results.
func CallAll[T Target, In, Out any](ctx context.Context, f *Func[In, Out], on []T, in In) iter.Seq2[T, Result[Out]] {
	return func(yield func(T, Result[Out]) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		type answer struct {
			from   T
			result Result[Out]
		}
		// There is room for all, so that nobody waits for a loop that was left.
		answers := make(chan answer, len(on))
		for _, t := range on {
			go func() {
				out, err := f.Call(ctx, t, in)
				answers <- answer{t, Result[Out]{out, err}}
			}()
		}
		for range on {
			a := <-answers
			if !yield(a.from, a.result) {
				return
			}
		}
	}
}
