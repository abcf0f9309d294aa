package contexts

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// spreadRequest asks a context to pass a copy on to itself and to contexts
// below it.
type spreadRequest struct {
	Path    string
	Options files.Options
	Members []int // numbers, by which results are told
	IDs     []core.ID
}

// PutAll copies one local file to the same path in many contexts, as
// [Node.Put] does for one. It crosses each link of the tree once: where the ways
// to several contexts part, the context there passes it on as it comes, without
// keeping it. There is a result for each node, in their order; a context that
// fails does not fail the others, but the slowest sets the pace.
//
// CopyOptions.Resume does not work here.
func PutAll(ctx context.Context, nodes []*Node, local, remote string, o *CopyOptions) []Result[Copied] {
	results := make([]Result[Copied], len(nodes))
	err := putAll(ctx, nodes, local, remote, o, results)
	for i, n := range nodes {
		if err != nil {
			results[i] = Result[Copied]{Err: err}
		}
		if results[i].Err != nil {
			results[i].Err = n.copyError("put", results[i].Err)
		}
	}
	return results
}

func putAll(ctx context.Context, nodes []*Node, name, remote string, o *CopyOptions, results []Result[Copied]) error {
	if len(nodes) == 0 {
		return nil
	}
	src, err := files.Open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := src.Hash(); err != nil {
		return err
	}
	q := spreadRequest{Path: remote}
	if o != nil {
		q.Options = *o
	}
	q.Options.Resume = false
	var l *local
	for i, n := range nodes {
		if n == nil || n.self == nil || l != nil && n.self != l {
			return errors.New("the nodes are not of one tree here")
		}
		l = n.self
		q.Members, q.IDs = append(q.Members, i), append(q.IDs, n.id)
	}
	conn, err := openStream(ctx, spreadConn.e, spreadConn.nodes, l.selfNode, q)
	if err != nil {
		return reasonWithin(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Reset(context.Cause(ctx)) })
	outcomes, err := files.SendAll(conn, src, q.Options)
	if !stop() && err != nil {
		err = context.Cause(ctx)
	}
	for i := range results {
		results[i].Err = fmt.Errorf("%w: no word of this copy", core.ErrProtocol)
	}
	for _, out := range outcomes {
		if out.Member >= 0 && out.Member < len(results) {
			results[out.Member] = Result[Copied]{Value: out.Result, Err: out.Error()}
			results[out.Member].Value.Source = src.Path()
		}
	}
	return err
}

// spreadConn passes a copy on. It calls itself in contexts below, which a
// package variable could not.
var spreadConn *ConnFunc[spreadRequest]

func init() {
	spreadConn = NewConnFunc("mitosis.spread", func(ctx context.Context, conn net.Conn, q spreadRequest) error {
		if len(q.IDs) != len(q.Members) || len(q.IDs) == 0 {
			return core.ErrProtocol
		}
		l := callOf(ctx).l
		downs, done := l.openDowns(ctx, &q)
		defer done()
		return files.Spread(conn.(*router.Stream), downs)
	})
}

// openDowns opens a connection for each direction in which there are members.
// done closes them.
func (l *local) openDowns(ctx context.Context, q *spreadRequest) (downs []files.Down, done func()) {
	var conns []*router.Stream
	done = func() {
		for _, c := range conns {
			c.Close()
		}
	}
	add := func(first core.ID, at []int) {
		sub := spreadRequest{Path: q.Path, Options: q.Options}
		for _, i := range at {
			sub.Members, sub.IDs = append(sub.Members, q.Members[i]), append(sub.IDs, q.IDs[i])
		}
		var conn *router.Stream
		var err error
		spread := len(at) > 1
		if spread {
			conn, err = openStream(ctx, spreadConn.e, spreadConn.nodes, l.node(first), sub)
		} else {
			conn, err = openStream(ctx, putConn.e, putConn.nodes, l.node(sub.IDs[0]), copyRequest{Path: q.Path, Options: q.Options})
		}
		if err != nil {
			// That is the failure of this direction only. A stream that is dead
			// says so to whoever uses it.
			conn = l.router.NewStream(first)
			conn.Reset(reasonWithin(err))
		}
		conns = append(conns, conn)
		downs = append(downs, files.Down{Conn: conn, Members: sub.Members, Spread: spread})
	}
	for first, at := range l.directions(q.IDs) {
		if first != l.id {
			add(first, at)
			continue
		}
		for i := range at {
			add(first, at[i:i+1])
		}
	}
	return downs, done
}

// directions groups contexts by the child through which they are reached, or
// by their own ID where that is this context or the way is not known.
func (l *local) directions(ids []core.ID) map[core.ID][]int {
	groups := make(map[core.ID][]int)
	for i, id := range ids {
		first := l.node(id)
		for range maxHops {
			if first.id == l.id || first.via == l.id || first.via == first.id {
				break
			}
			first = l.node(first.via)
		}
		groups[first.id] = append(groups[first.id], i)
	}
	return groups
}

// maxHops bounds a walk up the tree.
const maxHops = 256
