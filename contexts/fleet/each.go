package fleet

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// ErrNotTried is matched by the errors of members that an operation was not begun on: it had
// been stopped, or its ctx had ended.
var ErrNotTried = errors.New("not tried")

// ErrUnknown is matched by the errors of members on which an earlier run has begun the
// operation, and ended before it had the result. Whether the operation had its effect there
// is for somebody to find out.
var ErrUnknown = errors.New("begun by an earlier run, with an unknown result")

// errLeft is the cause for which operations end whose caller wants no more results.
var errLeft = errors.New("nobody waits for the results")

// operation is one that is under way. One goroutine, begin, begins with the members in turn,
// and each member that is under way has another; the caller's waits for all of them.
type operation[Out any] struct {
	policy  Policy
	members int
	do      func(ctx context.Context, m *Member, n *contexts.Node) (Out, error)
	results chan outcome[Out] // has room for all
	slots   chan struct{}     // taken by members under way
	running sync.WaitGroup

	mu     sync.Mutex
	done   int
	failed int
}

type outcome[Out any] struct {
	member *Member
	result Result[Out]
}

// each is [Do].
func each[Out any](ctx context.Context, g *Group, do func(ctx context.Context, m *Member, n *contexts.Node) (Out, error)) iter.Seq2[*Member, Result[Out]] {
	return func(yield func(*Member, Result[Out]) bool) {
		members := g.policy.ordered(slices.Collect(g.Members()))
		op := &operation[Out]{
			policy: g.policy, members: len(members), do: do,
			results: make(chan outcome[Out], len(members)), slots: make(chan struct{}, g.fanOut()),
		}
		ctx, cancel := context.WithCancelCause(ctx)
		var beginning sync.WaitGroup
		defer beginning.Wait()
		defer cancel(errLeft)
		beginning.Go(func() { op.begin(ctx, members) })
		for range members {
			o := <-op.results
			if !yield(o.member, o.result) {
				return
			}
		}
	}
}

// begin begins with the members, batch by batch, and returns when all have ended.
func (op *operation[Out]) begin(ctx context.Context, members []*Member) {
	var ended error // why nothing more is begun
	defer op.sync()
	defer op.running.Wait()
	for i, batch := range op.policy.batches(members) {
		if i > 0 && ended == nil {
			op.running.Wait()
			op.sync()
			ended = op.between(ctx, i)
		}
		for _, m := range batch {
			if ended == nil {
				ended = op.slot(ctx)
			}
			if ended != nil {
				op.results <- outcome[Out]{m, Result[Out]{Err: fmt.Errorf("%w: %w", ErrNotTried, ended)}}
				continue
			}
			op.running.Go(func() {
				result := op.recorded(ctx, m)
				op.note(result.Err)
				op.results <- outcome[Out]{m, result}
				<-op.slots
			})
		}
	}
}

// between is called between two batches. It returns why the next one is not begun.
func (op *operation[Out]) between(ctx context.Context, batch int) error {
	if err := op.stopped(); err != nil || op.policy.Between == nil {
		return err
	}
	if err := op.policy.Between(ctx, op.progress(batch)); err != nil {
		return fmt.Errorf("after batch %d: %w", batch, err)
	}
	return nil
}

// slot waits for a member's turn. It returns why there is none.
func (op *operation[Out]) slot(ctx context.Context) error {
	select {
	case op.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := op.stopped()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		<-op.slots
	}
	return err
}

func (op *operation[Out]) note(err error) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.done++
	if err != nil {
		op.failed++
	}
}

// stopped returns why the policy ends the operation, nil while it does not.
func (op *operation[Out]) stopped() error {
	op.mu.Lock()
	defer op.mu.Unlock()
	if !op.policy.stops(op.failed, op.members) {
		return nil
	}
	return fmt.Errorf("%d of %d members have failed, more than %v", op.failed, op.members, op.policy.StopAbove)
}

func (op *operation[Out]) progress(batch int) Progress {
	op.mu.Lock()
	defer op.mu.Unlock()
	return Progress{Members: op.members, Done: op.done, Failed: op.failed, Batch: batch}
}

// recorded tries a member and writes that down, unless an earlier run has tried it.
func (op *operation[Out]) recorded(ctx context.Context, m *Member) Result[Out] {
	r, known := op.known(m)
	if !known {
		r = op.attempts(ctx, m)
		r.Err = op.end(m, r.Err)
	}
	return r
}

// known returns the result of a member that is not to be tried, because of the journal. It
// writes down that any other one has begun.
func (op *operation[Out]) known(m *Member) (r Result[Out], known bool) {
	j, name := op.policy.Journal, op.policy.Name
	if j == nil {
		return r, false
	}
	switch j.State(name, m.name) {
	case StateDone:
		return Result[Out]{Before: true}, true
	case StateUnknown:
		return Result[Out]{Err: ErrUnknown}, true
	}
	if err := j.Begin(name, m.name); err != nil {
		return Result[Out]{Err: fmt.Errorf("%w: the journal: %w", ErrNotTried, err)}, true
	}
	return r, false
}

// end writes down how a member has ended, and returns the error of it.
func (op *operation[Out]) end(m *Member, err error) error {
	if op.policy.Journal != nil {
		if failed := op.policy.Journal.End(op.policy.Name, m.name, err); failed != nil {
			return errors.Join(err, fmt.Errorf("the journal: %w", failed))
		}
	}
	return err
}

// sync has the journal on the disk. An error of that is in the results of members that come
// later, if there are any; what was written is there as long as the system runs.
func (op *operation[Out]) sync() {
	if op.policy.Journal != nil {
		_ = op.policy.Journal.Sync()
	}
}

// attempts tries a member as often as the policy says.
func (op *operation[Out]) attempts(ctx context.Context, m *Member) Result[Out] {
	began := time.Now()
	var r Result[Out]
	r.Attempts, r.Err = op.policy.Retry.Do(ctx, m, Retryable, func() (err error) {
		r.Value, err = op.attempt(ctx, m)
		r.Took = time.Since(began)
		return err
	})
	return r
}

func (op *operation[Out]) attempt(ctx context.Context, m *Member) (out Out, err error) {
	connecting, cancel := context.WithTimeoutCause(ctx, op.policy.connectTimeout(), errConnectTimeout)
	n, err := m.connect(connecting)
	cancel()
	if err != nil {
		return out, &ConnectError{err}
	}
	if op.policy.Timeout > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, op.policy.Timeout, errTimeout)
		defer cancel()
	}
	return op.do(ctx, m, n)
}

var (
	errConnectTimeout = fmt.Errorf("the time for connecting, Policy.ConnectTimeout, is over: %w", context.DeadlineExceeded)
	errTimeout        = fmt.Errorf("the time for the operation, Policy.Timeout, is over: %w", context.DeadlineExceeded)
)
