package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/mitosis-go/mitosis/contexts"
)

// ErrNotCompleted is what a [Pending] has for an error as long as its operation has not ended.
var ErrNotCompleted = errors.New("the operation has not ended yet")

// A Queue has operations for the members of a group: those for one member run one after the
// other, in the order in which they came, and different members do not wait for each other.
// The policy of the group bounds how many members are under way at once, and each operation
// as in [Do]; its batches and its share of failures do not count here.
//
// Operations may be added at any time, by several goroutines, also while the queue runs, and
// by functions that are called when another has ended.
type Queue struct {
	// StopMember makes the failure of an operation the end of those behind it for the same
	// member: they are not tried. It is set before Run.
	StopMember bool

	group *Group
	slots chan struct{}

	mu      sync.Mutex
	waiting map[*Member][]*task // operations that have not begun
	order   []*Member           // with such, in the order in which they came
	active  map[*Member]bool    // a goroutine works on the member's
	run     *run                // nil while the queue does not run
}

// run is one call of Run. Each member that has operations has a goroutine.
type run struct {
	ctx  context.Context
	idle chan struct{} // closed when nothing is left
}

// task is an operation without its type.
type task struct {
	do  func(ctx context.Context) error
	end func(err error) // called once, with the queue unlocked
}

// NewQueue returns an empty queue for a group.
func NewQueue(g *Group) *Queue {
	return &Queue{group: g, slots: make(chan struct{}, g.fanOut()), waiting: make(map[*Member][]*task), active: make(map[*Member]bool)}
}

// A Pending is an operation of a queue.
type Pending[Out any] struct {
	member *Member
	done   chan struct{}

	mu     sync.Mutex
	ended  bool
	result Result[Out]
	then   []func(*Member, Result[Out])
}

// Add puts an operation for a member at the end of the queue. A member of another group is an
// error of the operation.
func Add[Out any](q *Queue, m *Member, do func(ctx context.Context, m *Member, n *contexts.Node) (Out, error)) *Pending[Out] {
	p := &Pending[Out]{member: m, done: make(chan struct{}), result: Result[Out]{Err: ErrNotCompleted}}
	if m == nil || q.group.Member(m.name) != m {
		p.end(Result[Out]{Err: fmt.Errorf("%w: %v is no member of the queue's group", ErrNotTried, m)})
		return p
	}
	op := &operation[Out]{policy: q.group.policy, do: do}
	var result Result[Out]
	q.add(m, &task{
		do: func(ctx context.Context) error {
			result = op.attempts(ctx, m)
			return result.Err
		},
		end: func(err error) {
			if err != nil && result.Attempts == 0 {
				result.Err = err
			}
			p.end(result)
		},
	})
	return p
}

// AddAll puts an operation for each member of the group at the end of the queue.
func AddAll[Out any](q *Queue, do func(ctx context.Context, m *Member, n *contexts.Node) (Out, error)) []*Pending[Out] {
	var all []*Pending[Out]
	for m := range q.group.Members() {
		all = append(all, Add(q, m, do))
	}
	return all
}

// Member returns whose operation it is.
func (p *Pending[Out]) Member() *Member { return p.member }

// Done is closed when the operation has ended.
func (p *Pending[Out]) Done() <-chan struct{} { return p.done }

// Result returns what came of the operation. Until it has ended the error is
// [ErrNotCompleted].
func (p *Pending[Out]) Result() Result[Out] {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.result
}

// Then has a function called with the result: at once if the operation has ended, and else
// by the goroutine that ends it, before the next one of the same member begins. It may add
// operations.
func (p *Pending[Out]) Then(f func(*Member, Result[Out])) {
	p.mu.Lock()
	if !p.ended {
		p.then = append(p.then, f)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	f(p.member, p.result)
}

func (p *Pending[Out]) end(r Result[Out]) {
	p.mu.Lock()
	p.ended, p.result = true, r
	then := p.then
	p.then = nil
	p.mu.Unlock()
	close(p.done)
	for _, f := range then {
		f(p.member, r)
	}
}

func (q *Queue) add(m *Member, t *task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting[m]) == 0 && !q.active[m] {
		q.order = append(q.order, m)
	}
	q.waiting[m] = append(q.waiting[m], t)
	if q.run != nil {
		q.startLocked()
	}
}

// Len returns how many operations have not begun.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, tasks := range q.waiting {
		n += len(tasks)
	}
	return n
}

// Run works on the queue until it is empty, and returns when all operations have ended,
// those included that were added meanwhile. When ctx ends, those under way are cancelled and
// the others are not tried; Run returns the cause. The queue can be filled and run again. It
// is an error to run it twice at a time.
func (q *Queue) Run(ctx context.Context) error {
	q.mu.Lock()
	if q.run != nil {
		q.mu.Unlock()
		return errors.New("fleet: the queue runs already")
	}
	r := &run{ctx: ctx, idle: make(chan struct{})}
	q.run = r
	q.startLocked()
	q.endIfIdleLocked()
	q.mu.Unlock()
	<-r.idle
	return context.Cause(ctx)
}

// startLocked starts a goroutine for each member that has none and has operations.
func (q *Queue) startLocked() {
	for _, m := range q.order {
		q.active[m] = true
		go q.work(q.run, m)
	}
	q.order = q.order[:0]
}

func (q *Queue) endIfIdleLocked() {
	if len(q.active) == 0 && q.run != nil {
		close(q.run.idle)
		q.run = nil
	}
}

// work works on the operations for a member until there is none.
func (q *Queue) work(r *run, m *Member) {
	select {
	case q.slots <- struct{}{}:
		defer func() { <-q.slots }()
	case <-r.ctx.Done():
	}
	var ended error // why nothing more is tried
	for {
		q.mu.Lock()
		tasks := q.waiting[m]
		if len(tasks) == 0 {
			delete(q.waiting, m)
			delete(q.active, m)
			q.endIfIdleLocked()
			q.mu.Unlock()
			return
		}
		t := tasks[0]
		tasks[0] = nil
		q.waiting[m] = tasks[1:]
		q.mu.Unlock()
		if ended == nil {
			ended = context.Cause(r.ctx)
		}
		if ended != nil {
			t.end(fmt.Errorf("%w: %w", ErrNotTried, ended))
			continue
		}
		err := t.do(r.ctx)
		t.end(err)
		if err != nil && q.StopMember {
			ended = fmt.Errorf("an earlier operation failed: %w", err)
		}
	}
}
