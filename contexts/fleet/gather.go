package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/core"
)

// With Policy.Gather, one message toward each child of the master asks for the members below
// it. Each context on the way passes on in the same manner, calls its own children, and sends
// what it gets up in records: one for all members with the same result. A record waits for
// more of its kind for gatherTime at the most, so one member that hangs holds nothing up.
//
// What is decided for each member stays in the master: attempts, times, batches, the journal.

// gatherTime is how long members, and results, wait for others that go the same way. It is
// what gathering costs at each level.
const gatherTime = 10 * time.Millisecond

// gatherBytes bounds the results that wait in one context for one operation.
const gatherBytes = 256 << 10

// gatherRequest asks a context to call others below it.
type gatherRequest struct {
	Call    contexts.EncodedCall
	Members ranges
	Within  time.Duration // for each call; 0: no bound
}

// gathered is the result of some members.
type gathered struct {
	Members ranges
	Body    []byte `cbor:",omitempty"`
	Err     []byte `cbor:",omitempty"` // encoded; nil: none
	Gone    bool   `cbor:",omitempty"` // the error says that they are lost
}

// answer is the result of one member, as it travels.
type answer struct {
	body []byte
	err  error
}

// gatherSeq is carried out by the contexts on the way. It calls itself below.
var gatherSeq = contexts.DeclareSeq[gatherRequest, gathered]("mitosis.fleet.gather")

func init() {
	gatherSeq.Define(func(ctx context.Context, q gatherRequest) iter.Seq2[gathered, error] {
		return func(yield func(gathered, error) bool) {
			ctx, cancel := context.WithCancel(ctx)
			var calls sync.WaitGroup
			defer calls.Wait()
			defer cancel()
			records := make(chan gathered)
			tell := func(r gathered) {
				select {
				case records <- r:
				case <-ctx.Done():
				}
			}
			left := q.pass(ctx, &calls, tell)
			f := folder{}
			for left > 0 || f.bytes > 0 {
				select {
				case r := <-records:
					left -= r.Members.count()
					if f.add(r); f.bytes < gatherBytes && left > 0 {
						continue
					}
				case <-f.due:
				case <-ctx.Done():
					return
				}
				for _, r := range f.take() {
					if !yield(*r, nil) {
						return
					}
				}
			}
		}
	})
}

// pass calls the members, or the contexts above them, and returns how many there are. Each
// of them is told once. The goroutines are counted by calls.
func (q *gatherRequest) pass(ctx context.Context, calls *sync.WaitGroup, tell func(gathered)) (members int) {
	self := contexts.Self(ctx)
	below := make(map[core.ID][]*contexts.Node)
	first := make(map[core.ID]*contexts.Node)
	for id := range q.Members.all() {
		members++
		n := self.Descendant(id)
		if n == nil {
			calls.Go(func() { tell(recordOf(answer{err: contexts.ErrGone}, id)) })
			continue
		}
		f := self.Toward(n)
		first[f.ID()] = f
		below[f.ID()] = append(below[f.ID()], n)
	}
	for id, nodes := range below {
		calls.Go(func() {
			for r := range gatherFrom(ctx, first[id], nodes, q.Call, q.Within) {
				tell(r)
			}
		})
	}
	return members
}

func (q *gatherRequest) call(ctx context.Context, n *contexts.Node) answer {
	if q.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.Within)
		defer cancel()
	}
	body, err := q.Call.Call(ctx, n)
	return answer{body, err}
}

// gatherFrom has a context call nodes below it, or itself, and yields records of their
// results. Each node is in one of them, whatever the context says. One alone is called from here.
func gatherFrom(ctx context.Context, via *contexts.Node, nodes []*contexts.Node, call contexts.EncodedCall, within time.Duration) iter.Seq[gathered] {
	return func(yield func(gathered) bool) {
		q := gatherRequest{Call: call, Within: within}
		if len(nodes) == 1 {
			yield(recordOf(q.call(ctx, nodes[0]), nodes[0].ID()))
			return
		}
		asked := make(map[core.ID]bool, len(nodes))
		for _, n := range nodes {
			asked[n.ID()] = true
			if n.ID() != via.ID() {
				q.Members = append(q.Members, [2]uint64{uint64(n.ID()), 1})
			}
		}
		if asked[via.ID()] {
			delete(asked, via.ID())
			if !yield(recordOf(q.call(ctx, via), via.ID())) {
				return
			}
		}
		q.Members.compact()
		failure := error(core.ErrProtocol)
		if len(asked) > 0 {
			for r, err := range gatherSeq.Call(ctx, via, q) {
				if err != nil {
					failure = err
					break
				}
				if r.Members = r.Members.among(asked); len(r.Members) == 0 {
					continue
				}
				if !yield(r) {
					return
				}
				if len(asked) == 0 {
					return
				}
			}
		}
		if len(asked) > 0 {
			var ids []core.ID
			for id := range asked {
				ids = append(ids, id)
			}
			yield(recordOf(answer{err: failure}, ids...))
		}
	}
}

func recordOf(a answer, ids ...core.ID) gathered {
	r := gathered{Body: a.body}
	for _, id := range ids {
		r.Members = append(r.Members, [2]uint64{uint64(id), 1})
	}
	r.Members.compact()
	if a.err != nil {
		err := a.err
		r.Gone = errors.Is(err, contexts.ErrGone) // which only routers of this program make
		if e, ok := err.(*core.Error); ok && e.Err != nil {
			err = e.Err // the path is put in front by the master
		}
		r.Err = core.EncodeError(err)
	}
	return r
}

// failure returns the error that a node's record has, nil if it has none.
func (r *gathered) failure(function string, n *contexts.Node) error {
	if r.Err == nil {
		return nil
	}
	err := core.DecodeError(bytes.Clone(r.Err))
	if r.Gone {
		err = &core.Error{Kind: core.KindGone, Err: err}
	}
	return &core.Error{Op: "call " + function, Path: n.String(), Err: err}
}

// A folder puts records with equal results together. The zero value has none.
type folder struct {
	records map[[sha256.Size]byte]*gathered // by the hash of the result
	order   []*gathered
	bytes   int
	due     <-chan time.Time // when they are to be sent; nil: there are none
}

func (f *folder) add(r gathered) {
	h := sha256.New()
	fmt.Fprintf(h, "%t %t %d ", r.Gone, r.Err != nil, len(r.Body))
	h.Write(r.Body)
	h.Write(r.Err)
	key := [sha256.Size]byte(h.Sum(nil))
	if f.records == nil {
		f.records, f.due = make(map[[sha256.Size]byte]*gathered), time.After(gatherTime)
	}
	same := f.records[key]
	if same == nil {
		same = &gathered{Body: r.Body, Err: r.Err, Gone: r.Gone}
		f.records[key] = same
		f.order = append(f.order, same)
		f.bytes += len(key) + len(r.Body) + len(r.Err)
	}
	same.Members = append(same.Members, r.Members...)
}

func (f *folder) take() []*gathered {
	records := f.order
	for _, r := range records {
		r.Members.compact()
	}
	*f = folder{}
	return records
}

// ranges are IDs: the first of each range, and how many there are in it. IDs of the children
// of one context are often next to each other.
type ranges [][2]uint64

// compact sorts the ranges, which must not overlap, and joins neighbours.
func (r *ranges) compact() {
	slices.SortFunc(*r, func(a, b [2]uint64) int {
		switch {
		case a[0] < b[0]:
			return -1
		case a[0] > b[0]:
			return 1
		}
		return 0
	})
	var joined ranges
	for _, next := range *r {
		if last := len(joined) - 1; last >= 0 && joined[last][0]+joined[last][1] == next[0] {
			joined[last][1] += next[1]
		} else {
			joined = append(joined, next)
		}
	}
	*r = joined
}

func (r ranges) count() (n int) {
	for _, one := range r {
		n += int(one[1])
	}
	return n
}

// all yields the IDs. Those of a request come from an ancestor.
func (r ranges) all() iter.Seq[core.ID] {
	return func(yield func(core.ID) bool) {
		for _, one := range r {
			for i := range one[1] {
				if !yield(core.ID(one[0] + i)) {
					return
				}
			}
		}
	}
}

// among returns the IDs that are in asked, and takes them out there. A context may say
// anything: a range that is longer than what was asked for counts for nothing.
func (r ranges) among(asked map[core.ID]bool) (found ranges) {
	for _, one := range r {
		if one[1] > uint64(len(asked)) {
			continue
		}
		for id := range (ranges{one}).all() {
			if asked[id] {
				delete(asked, id)
				found = append(found, [2]uint64{uint64(id), 1})
			}
		}
	}
	found.compact()
	return found
}

// gatherer puts calls of members that go the same way together, for one operation in the
// master.
type gatherer struct {
	// Immutable.
	self     *contexts.Node
	function string
	call     contexts.EncodedCall
	within   time.Duration
	ctx      context.Context
	cancel   context.CancelFunc

	requests sync.WaitGroup // one goroutine for each that is under way
	mu       sync.Mutex
	waiting  map[core.ID]map[core.ID]*waiter // by the child of the master that leads to them, and by their own
}

// waiter is a member whose result is waited for.
type waiter struct {
	node *contexts.Node
	done chan answer // has room for the one answer
}

func newGatherer(ctx context.Context, g *Group, function string, call contexts.EncodedCall) *gatherer {
	c := &gatherer{self: g.kept.self, function: function, call: call, within: g.policy.Timeout, waiting: make(map[core.ID]map[core.ID]*waiter)}
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

// close ends the requests that are under way and waits for them. Nobody calls any more.
func (c *gatherer) close() {
	c.cancel()
	c.requests.Wait()
}

// callNode calls a node together with others.
func (c *gatherer) callNode(ctx context.Context, n *contexts.Node) ([]byte, error) {
	w := &waiter{n, make(chan answer, 1)}
	if n.ID() == c.self.ID() || !c.join(w) {
		return c.call.Call(ctx, n)
	}
	select {
	case a := <-w.done:
		return a.body, a.err
	case <-ctx.Done():
		return nil, &core.Error{Op: "call " + c.function, Path: n.String(), Err: context.Cause(ctx)}
	}
}

// join adds a member to those that wait for a request. It reports false for a second member
// of the same context, which has a call of its own.
func (c *gatherer) join(w *waiter) bool {
	via := c.self.Toward(w.node)
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.waiting[via.ID()]
	if waiting[w.node.ID()] != nil {
		return false
	}
	if waiting == nil {
		waiting = make(map[core.ID]*waiter)
		c.waiting[via.ID()] = waiting
		c.requests.Go(func() { c.request(via) })
	}
	waiting[w.node.ID()] = w
	return true
}

// request makes one request for the members that go one way, once some have come together.
func (c *gatherer) request(via *contexts.Node) {
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
	c.mu.Lock()
	waiting := c.waiting[via.ID()]
	delete(c.waiting, via.ID())
	c.mu.Unlock()
	nodes := make([]*contexts.Node, 0, len(waiting))
	for _, w := range waiting {
		nodes = append(nodes, w.node)
	}
	for r := range gatherFrom(c.ctx, via, nodes, c.call, c.within) {
		for id := range r.Members.all() {
			w := waiting[id]
			w.done <- answer{r.Body, r.failure(c.function, w.node)}
		}
	}
}

// callGathered is Call by way of the contexts above the members.
func callGathered[In, Out any](ctx context.Context, g *Group, f *contexts.Func[In, Out], call contexts.EncodedCall) iter.Seq2[*Member, Result[Out]] {
	return func(yield func(*Member, Result[Out]) bool) {
		c := newGatherer(ctx, g, f.Name(), call)
		defer c.close()
		each(ctx, g, func(ctx context.Context, _ *Member, n *contexts.Node) (out Out, err error) {
			body, err := c.callNode(ctx, n)
			if err != nil {
				return out, err
			}
			return f.Decode(body)
		})(yield)
	}
}
