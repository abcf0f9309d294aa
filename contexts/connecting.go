package contexts

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/core"
)

// A hop that another context makes is a sequence of steps. Each tells how far the hop has
// come, and the last has the result. So the caller knows the phase whenever it gives up,
// or loses that context.

// connectRequest asks a context to connect.
type connectRequest struct {
	Method  []byte
	Through *Node // the context whose connections the hop uses; nil: its own
	Bounds  bounds
	Within  time.Duration // the time that the caller has left; 0: no bound
}

// method returns the hop, with the context through whose connections it goes.
func (q *connectRequest) method() (connect.Method, error) {
	m, err := connect.Decode(q.Method)
	if err != nil || q.Through == nil {
		return m, err
	}
	t, ok := m.(connect.ThroughMethod)
	if !ok {
		return nil, fmt.Errorf("a hop of type %T goes through no other context", m)
	}
	return t.WithThrough(q.Through), nil
}

// A step is an item of the sequence.
type step struct {
	Progress bootstrap.Progress `cbor:"1,keyasint,omitempty"`
	// The last step has either of the two: the context that was connected, or the result
	// of a probe.
	Node  *Node        `cbor:"2,keyasint,omitempty"`
	Found *ProbeResult `cbor:"3,keyasint,omitempty"`
}

func (s *step) isLast() bool { return s.Node != nil || s.Found != nil }

// newConnecting registers a function that does something with a method in another
// context: connect or probe. undo takes back the result of do if the caller does not
// receive it any more.
//
//go:noinline
func newConnecting(name string, do func(context.Context, *local, connect.Method, bounds) (step, error), undo func(step)) *SeqFunc[connectRequest, step] {
	return NewSeqFunc(name, func(ctx context.Context, q connectRequest) iter.Seq2[step, error] {
		return func(yield func(step, error) bool) {
			l := callOf(ctx).l
			m, err := q.method()
			if err != nil {
				yield(step{}, err)
				return
			}
			if q.Within > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, q.Within)
				defer cancel()
			}
			ctx, p, stop := l.bounded(ctx, m, q.Bounds)
			defer stop()
			var last step
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() {
					if v := recover(); v != nil {
						err = newPanicError(v)
					}
				}()
				last, err = do(ctx, l, m, q.Bounds)
			}()
			var told bootstrap.Progress
			listening := true
			for listening && p.Next(&told, done) {
				if listening = yield(step{Progress: told}, nil); !listening {
					stop()
				}
			}
			<-done
			if err == nil && ctx.Err() != nil {
				undo(last)
				err = context.Cause(ctx)
			}
			switch {
			case err != nil && listening:
				yield(step{}, reasonOf(err))
			case err == nil && (!listening || !yield(last, nil)):
				undo(last)
			}
		}
	})
}

// reasonOf takes off the path at which a hop failed. The caller knows the path, and puts
// it in front once.
func reasonOf(err error) error {
	if e, ok := err.(*Error); ok && e.Kind == core.KindConnect {
		return e.Err
	}
	return err
}

// connecting has another context do something with a method, by a function that
// newConnecting made. It returns the last step.
func connecting(ctx context.Context, l *local, n *Node, m connect.Method, b bounds, f *SeqFunc[connectRequest, step]) (step, error) {
	fail := func(err error) (step, error) {
		return step{}, &Error{Op: "connect", Path: joinPath(n, m.Label()), Kind: core.KindConnect, Err: err}
	}
	ctx, p, stop := l.bounded(ctx, m, b)
	defer stop()
	p.Elsewhere(n.String())
	q := connectRequest{Bounds: b}
	q.Bounds.Silence = p.Limit()
	if deadline, ok := ctx.Deadline(); ok {
		q.Within = max(time.Until(deadline), 1)
	}
	var err error
	if q.Through, err = l.throughOf(m); err != nil {
		return fail(err)
	}
	if q.Method, err = connect.Encode(m); err != nil {
		return fail(err)
	}
	defer l.children.LetAsk(n.id, joinPath(n, m.Label()), personOf(ctx))()
	var last step
	for s, err := range f.Call(ctx, n, q) {
		if err != nil {
			if e, ok := err.(*Error); ok {
				err = e.Err
			}
			if ctx.Err() != nil {
				err = withCause(ctx, fmt.Errorf("%v: %w", p.At(), err))
			}
			return fail(err)
		}
		if last = s; !s.isLast() {
			p.Heard(s.Progress)
		}
	}
	if !last.isLast() {
		return fail(core.ErrProtocol)
	}
	return last, nil
}

var connectFunc = newConnecting("mitosis.connect", func(ctx context.Context, l *local, m connect.Method, b bounds) (step, error) {
	n, err := l.connect(ctx, m, b)
	return step{Node: n}, err
}, func(s step) { _ = s.Node.Close() })

// throughOf returns the context through which a hop that is made elsewhere goes; nil if it
// goes through none. If it can't go through that one, the result is an error: it must not
// go another way.
func (l *local) throughOf(m connect.Method) (*Node, error) {
	t, ok := m.(connect.ThroughMethod)
	if !ok || t.ThroughDialer() == nil {
		return nil, nil
	}
	switch n, ok := t.ThroughDialer().(*Node); {
	case !ok:
		return nil, fmt.Errorf("%w: a hop made by another context can only go through a *contexts.Node, not through a %T", connect.ErrStart, t.ThroughDialer())
	case n == nil || n.self != l:
		return nil, fmt.Errorf("%w: it is to go through %v: %w", connect.ErrStart, n, errOtherTree)
	default:
		return n, n.gone()
	}
}

// Facts describe the host at the far side of a hop, as the first stage finds it.
type Facts = bootstrap.Facts

// A ProbeResult tells what a far side has for a child: facts of its host, and for each start
// method whether it would work there.
type ProbeResult = bootstrap.ProbeResult

var probeFunc = newConnecting("mitosis.probe", func(ctx context.Context, l *local, m connect.Method, b bounds) (step, error) {
	offer, err := l.probe(ctx, m, b)
	return step{Found: &offer}, err
}, func(step) {})

// Probe makes a hop like Connect, but starts no child there. It returns what the far side
// has for one, and how a child would be started.
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
	launch, carrier, err := l.openCarrier(ctx, m, path, true)
	if err == nil {
		var offer ProbeResult
		if offer, err = launch.Probe(ctx, carrier); err == nil {
			return offer, nil
		}
	}
	dropHopName(err, m)
	return ProbeResult{}, &Error{Op: "probe", Path: path, Kind: core.KindConnect, Err: withCause(ctx, err)}
}
