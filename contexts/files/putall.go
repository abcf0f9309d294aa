package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/core"
)

// spreadRequest asks a context to pass a copy on to members: to itself and to contexts
// below it.
type spreadRequest struct {
	Path    string
	Options Options
	Members []int            // numbers of the members in results
	Nodes   []*contexts.Node // one for each member
}

// PutAll copies one local file to the same path at many targets of one tree, as [Put]
// does for one. The file crosses each link of the tree once: a context through which
// several others are reached passes it on as it comes, without keeping it. There is a
// result for each target, in their order. A target that fails does not fail the others,
// but the slowest sets the pace.
//
// Managed hosts that are not connected are connected first, at most 128 at a time. The
// copy begins when all of them are connected or have failed: a host that can't be
// reached holds it up for ManagedHostConfig.Wait, or until ctx ends.
//
// Options.Resume does not work here.
func PutAll[T contexts.Target](ctx context.Context, on []T, local, remote string, o *Options) []contexts.Result[Result] {
	results := make([]contexts.Result[Result], len(on))
	nodes := make([]*contexts.Node, len(on))
	sideBySide(len(on), connectsAtOnce, func(i int) { nodes[i], results[i].Err = contexts.NodeOf(ctx, on[i]) })
	var there []*contexts.Node
	var at []int // their indexes in on
	for i, n := range nodes {
		if results[i].Err == nil {
			there, at = append(there, n), append(at, i)
		} else {
			results[i].Err = failedAt(on[i], "put", reasonWithin(results[i].Err))
		}
	}
	found := make([]contexts.Result[Result], len(there))
	err := putAll(ctx, there, local, remote, o, found)
	for i, r := range found {
		if err != nil {
			r = contexts.Result[Result]{Err: err}
		}
		r.Err = failedAt(there[i], "put", r.Err)
		results[at[i]] = r
	}
	return results
}

// connectsAtOnce is how many managed hosts are connected at once. Each takes a process
// or a network connection here, and some processor time until it has its image.
const connectsAtOnce = 128

// sideBySide calls f with 0 to n-1, by at most so many goroutines at once, and returns
// when all calls have.
func sideBySide(n, most int, f func(i int)) {
	var next atomic.Int64
	var running sync.WaitGroup
	for range min(n, most) {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	running.Wait()
}

// putAll copies to nodes that are connected. An error is that of all of them.
func putAll(ctx context.Context, nodes []*contexts.Node, name, remote string, o *Options, results []contexts.Result[Result]) error {
	if len(nodes) == 0 {
		return nil
	}
	src, err := openSource(name)
	if err != nil {
		return err
	}
	defer src.close()
	if err := src.hash(); err != nil {
		return err
	}
	q := spreadRequest{Path: remote, Nodes: nodes}
	if o != nil {
		q.Options = *o
	}
	if len(q.Options.Over) > 0 {
		return errors.New("the connections of Options.Over lead to one host, and PutAll copies to many")
	}
	q.Options.Resume = false
	for i := range nodes {
		q.Members = append(q.Members, i)
	}
	// This fails where a node is of another tree, as that can't travel.
	c, err := dial(ctx, nodes[0].Local(), spreadConn, q)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Reset(context.Cause(ctx)) })
	outcomes, err := sendAll(c, src, q.Options)
	if !stop() && err != nil {
		err = because(ctx, err)
	}
	for i := range results {
		results[i].Err = fmt.Errorf("%w: the context on the way to it did not report this copy", core.ErrProtocol)
	}
	for _, out := range outcomes {
		if out.Member >= 0 && out.Member < len(results) {
			results[out.Member] = contexts.Result[Result]{Value: out.Result, Err: out.failure()}
			results[out.Member].Value.Source = src.path
		}
	}
	return err
}

// spreadConn passes a copy on. It calls itself in the contexts below.
var spreadConn = contexts.DeclareConn[spreadRequest]("mitosis.files.spread")

func init() {
	spreadConn.Define(func(ctx context.Context, c net.Conn, q spreadRequest) error {
		if len(q.Nodes) != len(q.Members) || len(q.Nodes) == 0 {
			return core.ErrProtocol
		}
		for _, n := range q.Nodes {
			if n == nil {
				return errors.New("one of the nodes is nil")
			}
		}
		downs, done := openDowns(ctx, &q)
		defer done()
		return spread(c.(stream), downs)
	})
}

// openDowns opens a connection in each direction in which there are members. done closes
// them.
func openDowns(ctx context.Context, q *spreadRequest) (downs []down, done func()) {
	var open []io.Closer
	done = func() {
		for _, c := range open {
			c.Close()
		}
	}
	add := func(first *contexts.Node, at []int) {
		d := down{spreads: len(at) > 1}
		sub := spreadRequest{Path: q.Path, Options: q.Options}
		for _, i := range at {
			sub.Members, sub.Nodes = append(sub.Members, q.Members[i]), append(sub.Nodes, q.Nodes[i])
		}
		d.members = sub.Members
		var c stream
		var err error
		if d.spreads {
			c, err = dial(ctx, first, spreadConn, sub)
		} else {
			c, err = dial(ctx, sub.Nodes[0], putConn, copyRequest{Path: q.Path, Options: q.Options})
		}
		if err != nil {
			// Only this direction fails.
			d.conn = noConn{err}
		} else {
			d.conn, open = c, append(open, c)
		}
		downs = append(downs, d)
	}
	self := contexts.Self(ctx)
	for _, d := range directions(self, q.Nodes) {
		if d.first.ID() != self.ID() {
			add(d.first, d.at)
			continue
		}
		for i := range d.at {
			add(d.first, d.at[i:i+1])
		}
	}
	return downs, done
}

// noConn stands for a connection that could not be opened. All its operations fail with
// the reason.
type noConn struct{ err error }

func (c noConn) Read([]byte) (int, error)  { return 0, c.err }
func (c noConn) Write([]byte) (int, error) { return 0, c.err }
func (c noConn) Reset(error)               {}
func (c noConn) Done() <-chan struct{} {
	ended := make(chan struct{})
	close(ended)
	return ended
}

// direction has the nodes that are reached through one child, or by the context itself.
type direction struct {
	first *contexts.Node // the child, or the context itself
	at    []int          // indexes in the list of nodes
}

// directions groups nodes by the child through which they are reached. A context whose
// ancestors are not known is a direction of its own.
func directions(self *contexts.Node, nodes []*contexts.Node) map[core.ID]*direction {
	groups := make(map[core.ID]*direction)
	for i, n := range nodes {
		first := self.Toward(n)
		d := groups[first.ID()]
		if d == nil {
			d = &direction{first: first}
			groups[first.ID()] = d
		}
		d.at = append(d.at, i)
	}
	return groups
}
