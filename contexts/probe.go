package contexts

import (
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/core"
)

// Facts are what the first stage finds at the far side of a hop.
type Facts = bootstrap.Facts

var probeFunc = NewFunc("mitosis.probe", func(ctx context.Context, q connectRequest) (Facts, error) {
	l := callOf(ctx).l
	m, err := q.method()
	if err != nil {
		return Facts{}, err
	}
	facts, err := l.probe(ctx, m)
	return facts, reasonOf(err)
})

// Probe goes over a hop like Connect, but starts nothing there: it returns
// what a child would have to live with.
func (n *Node) Probe(ctx context.Context, m connect.Method) (Facts, error) {
	if n.id == n.self.id {
		return n.self.probe(ctx, m)
	}
	return connecting(ctx, n.self, n, m, bounds{}, probeFunc)
}

func (l *local) probe(ctx context.Context, m connect.Method) (Facts, error) {
	path := joinPath(l.selfNode, m.Label())
	ctx, cancel := l.connectContext(ctx)
	defer cancel()
	launch, carrier, err := l.open(ctx, m, path, false)
	if err == nil {
		var facts Facts
		if facts, err = launch.Probe(ctx, carrier); err == nil {
			return facts, nil
		}
	}
	return Facts{}, &Error{Op: "probe", Path: path, Kind: core.KindConnect, Err: err}
}
