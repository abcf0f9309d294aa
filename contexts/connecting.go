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

// A hop that another context makes is a sequence: how far it has come, as often as
// that changes, and in the end what came of it. Its caller so knows the phase
// whenever it gives up, or the context is lost.

// connectRequest asks a context to connect.
type connectRequest struct {
	Method  []byte
	Through *Node // the context whose connections the hop uses; nil: its own
	Bounds  bounds
	Within  time.Duration // what is left of the caller's time; 0: no bound
}

// method returns the hop as whoever asked for it meant it.
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
	// In the last one, either of the two: what was connected, or found by a probe.
	Node  *Node        `cbor:"2,keyasint,omitempty"`
	Found *ProbeResult `cbor:"3,keyasint,omitempty"`
}

func (s *step) isLast() bool { return s.Node != nil || s.Found != nil }

// stepEvery is the least time between two steps that tell of bytes only.
const stepEvery = 250 * time.Millisecond

// newConnecting registers a function that does something with a method in another
// context: connect or probe. undo takes back what came of it, where nobody is left
// who would get it.
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
			for listening && p.next(&told, done) {
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

// reasonOf takes off what this context said of where a hop failed: the caller
// knows the same, and says it once.
func reasonOf(err error) error {
	if e, ok := err.(*Error); ok && e.Kind == core.KindConnect {
		return e.Err
	}
	return err
}

// connecting has another context do something with a method.
func connecting(ctx context.Context, l *local, n *Node, m connect.Method, b bounds, f *SeqFunc[connectRequest, step]) (step, error) {
	fail := func(err error) (step, error) {
		return step{}, &Error{Op: "connect", Path: joinPath(n, m.Label()), Kind: core.KindConnect, Err: err}
	}
	ctx, p, stop := l.bounded(ctx, m, b)
	defer stop()
	p.elsewhere(n)
	q := connectRequest{Bounds: b}
	q.Bounds.Silence = p.limit
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
	defer l.children.letAsk(n.id)()
	var last step
	for s, err := range f.Call(ctx, n, q) {
		if err != nil {
			if e, ok := err.(*Error); ok {
				err = e.Err
			}
			if ctx.Err() != nil {
				err = withCause(ctx, fmt.Errorf("%v: %w", p.at(), err))
			}
			return fail(err)
		}
		if last = s; !s.isLast() {
			p.heard(s.Progress)
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
