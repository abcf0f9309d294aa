package fleet

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

func TestQueueKeepsTheOrderOfEachMember(t *testing.T) {
	g := here(t, 5, Policy{FanOut: 3})
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(g)
		var mu sync.Mutex
		order := make(map[string][]int)
		began := time.Now()
		for i := range 4 {
			AddAll(q, func(_ context.Context, m *Member, _ *contexts.Node) (int, error) {
				time.Sleep(time.Second)
				mu.Lock()
				defer mu.Unlock()
				order[m.Name()] = append(order[m.Name()], i)
				return i, nil
			})
		}
		if q.Len() != 20 {
			t.Errorf("%d operations wait, want 20", q.Len())
		}
		if err := q.Run(t.Context()); err != nil {
			t.Error(err)
		}
		for name, got := range order {
			if !slices.Equal(got, []int{0, 1, 2, 3}) {
				t.Errorf("%s had its operations in the order %v", name, got)
			}
		}
		if took := time.Since(began); len(order) != 5 || took != 8*time.Second {
			t.Errorf("%d members took %v, want 5 in 8s by three at a time", len(order), took)
		}
	})
}

// Functions that are called at the end of an operation add others, for any member, while the
// queue runs.
func TestQueueGrowsWhileItRuns(t *testing.T) {
	g := here(t, 3, Policy{})
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(g)
		one := func(context.Context, *Member, *contexts.Node) (int, error) { time.Sleep(time.Second); return 1, nil }
		total := 0
		var mu sync.Mutex
		var more func(depth int) func(*Member, Result[int])
		more = func(depth int) func(*Member, Result[int]) {
			return func(m *Member, r Result[int]) {
				mu.Lock()
				total += r.Value
				mu.Unlock()
				if depth > 0 {
					for other := range g.Members() {
						Add(q, other, one).Then(more(depth - 1))
					}
				}
			}
		}
		p := Add(q, g.Member("h1"), one)
		if !errors.Is(p.Result().Err, ErrNotCompleted) {
			t.Errorf("before Run the error is %v, want ErrNotCompleted", p.Result().Err)
		}
		p.Then(more(3))
		if err := q.Run(t.Context()); err != nil || total != 1+3+9+27 || q.Len() != 0 {
			t.Errorf("%d operations ran, %v, %d are left; want 40", total, err, q.Len())
		}
		called := false
		p.Then(func(*Member, Result[int]) { called = true })
		if !called || p.Result().Value != 1 || p.Member() != g.Member("h1") {
			t.Error("a function that comes after the end is not called")
		}
		if err := q.Run(t.Context()); err != nil {
			t.Errorf("an empty queue: %v", err)
		}
	})
}

func TestQueueFailures(t *testing.T) {
	boom := errors.New("boom")
	for _, stop := range []bool{false, true} {
		g := here(t, 2, Policy{})
		synctest.Test(t, func(t *testing.T) {
			q := NewQueue(g)
			q.StopMember = stop
			var all []*Pending[int]
			for i := range 3 {
				all = append(all, AddAll(q, func(_ context.Context, m *Member, _ *contexts.Node) (int, error) {
					if i == 1 && m.Name() == "h1" {
						return 0, boom
					}
					return i, nil
				})...)
			}
			if err := q.Run(t.Context()); err != nil {
				t.Error(err)
			}
			for i, p := range all {
				err := p.Result().Err
				isFailed, isBehind := i == 2, i == 4
				if isFailed && !errors.Is(err, boom) || isBehind && stop != errors.Is(err, ErrNotTried) || !isFailed && !isBehind && err != nil {
					t.Errorf("stop %v: operation %d of %v: %v", stop, i/2, p.Member(), err)
				}
			}
		})
	}
}

func TestQueueEndsWithItsContext(t *testing.T) {
	g, other := here(t, 4, Policy{FanOut: 2}), here(t, 1, Policy{})
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(g)
		ctx, cancel := context.WithCancel(t.Context())
		wait := func(ctx context.Context, _ *Member, _ *contexts.Node) (int, error) {
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}
		all := append(AddAll(q, wait), AddAll(q, wait)...)
		time.AfterFunc(time.Second, func() {
			if err := q.Run(ctx); err == nil {
				t.Error("the queue ran twice at a time")
			}
			cancel()
		})
		if err := q.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v, want Canceled", err)
		}
		tried := 0
		for _, p := range all {
			select {
			case <-p.Done():
			default:
				t.Errorf("an operation of %v has not ended", p.Member())
			}
			if err := p.Result().Err; !errors.Is(err, context.Canceled) {
				t.Errorf("%v: %v, want Canceled", p.Member(), err)
			} else if !errors.Is(err, ErrNotTried) {
				tried++
			}
		}
		if tried != 2 {
			t.Errorf("%d operations were begun, want 2", tried)
		}
		for _, m := range []*Member{nil, other.Member("h1")} {
			if err := Add(q, m, wait).Result().Err; !errors.Is(err, ErrNotTried) {
				t.Errorf("a member of another group: %v, want ErrNotTried", err)
			}
		}
	})
}
