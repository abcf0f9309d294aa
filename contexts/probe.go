package contexts

import (
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/core"
)

// Facts are what the first stage finds at the far side of a hop.
type Facts = bootstrap.Facts

// An ProbeResult is what a far side has for a child: facts, and how each start method of the
// start methods stands there.
type ProbeResult = bootstrap.ProbeResult

var probeFunc = newConnecting("mitosis.probe", func(ctx context.Context, l *local, m connect.Method, b bounds) (step, error) {
	offer, err := l.probe(ctx, m, b)
	return step{Found: &offer}, err
}, func(step) {})

// Probe goes over a hop like Connect, but starts no child there: it returns
// what one would have to live with, and how it would be started.
func (n *Node) Probe(ctx context.Context, m connect.Method) (ProbeResult, error) {
	if n.id == n.self.id {
		return n.self.probe(ctx, m, bounds{})
	}
	last, err := connecting(ctx, n.self, n, m, bounds{}, probeFunc)
	if err != nil {
		return ProbeResult{}, err
	}
	if last.Found == nil {
		return ProbeResult{}, &Error{Op: "probe", Path: joinPath(n, m.Label()), Kind: core.KindProtocol}
	}
	return *last.Found, nil
}

func (l *local) probe(ctx context.Context, m connect.Method, b bounds) (ProbeResult, error) {
	path := joinPath(l.selfNode, m.Label())
	ctx, cancel := l.connectContext(ctx, m, b)
	defer cancel()
	launch, carrier, err := l.open(ctx, m, path, true)
	if err == nil {
		var offer ProbeResult
		if offer, err = launch.Probe(ctx, carrier); err == nil {
			return offer, nil
		}
	}
	nameless(err, m)
	return ProbeResult{}, &Error{Op: "probe", Path: path, Kind: core.KindConnect, Err: withCause(ctx, err)}
}
