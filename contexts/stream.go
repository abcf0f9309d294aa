package contexts

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"net"
	"reflect"

	"github.com/mitosis-go/mitosis/contexts/internal/call"
	"github.com/mitosis-go/mitosis/contexts/internal/items"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// A ConnFunc is a function that talks to its caller over a byte stream.
type ConnFunc[In any] struct {
	e     *entry
	nodes visitor
}

// NewConnFunc registers a function that gets a flow-controlled connection to its caller.
// When it returns, the connection is closed. If it returns an error, the caller's Read
// returns that error in place of io.EOF. Its ctx is cancelled when the caller is lost. See
// [NewFunc] for the rest.
//
// At both ends the connection has two more methods. After CloseWrite() error the other
// side reads io.EOF. Reset(error) ends the connection, and the other side reads the error.
func NewConnFunc[In any](name string, fn func(ctx context.Context, conn net.Conn, in In) error, opts ...Option) *ConnFunc[In] {
	f := declareConn[In](name, opts)
	f.Define(fn)
	return f
}

// DeclareConn is [Declare] for a ConnFunc.
func DeclareConn[In any](name string, opts ...Option) *ConnFunc[In] {
	return declareConn[In](name, opts)
}

func declareConn[In any](name string, opts []Option) *ConnFunc[In] {
	f := &ConnFunc[In]{nodes: types.VisitorOf(reflect.TypeFor[In]())}
	f.e = newEntry(name, kindConn, opts, reflect.TypeFor[In](), reflect.TypeFor[struct{}]())
	return f
}

// Define gives a function that was made by [DeclareConn] its body, as [Func.Define] does.
func (f *ConnFunc[In]) Define(fn func(ctx context.Context, conn net.Conn, in In) error) {
	f.e.define(func(c *incoming) {
		var in In
		c.serveConn(&in, f.nodes, func(s *router.Stream) error { return fn(c.ctx, s, in) })
	})
}

// accept decodes the argument and accepts the stream to the caller. If it can't, it
// answers with the error and returns nil.
func (c *incoming) accept(in any, nodes visitor) *router.Stream {
	err := c.decodeArg(in, nodes)
	if err == nil {
		var s *router.Stream
		if s, err = c.l.router.AcceptStream(c.m); err == nil {
			return s
		}
	}
	c.fail(err)
	return nil
}

// serveConn has call serve the stream to the caller.
func (c *incoming) serveConn(in any, nodes visitor, call func(*router.Stream) error) {
	s := c.accept(in, nodes)
	if s == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			s.Reset(newPanicError(v))
		}
	}()
	// A caller that gives up ends the stream, and not the ctx of the call.
	stop := context.AfterFunc(c.ctx, func() { s.Reset(context.Cause(c.ctx)) })
	defer stop()
	err := call(s)
	c.failed = err
	if err != nil {
		s.Reset(err)
		return
	}
	s.Close()
}

// Dial calls the function and returns the connection to it. ctx bounds the opening. The
// call lasts until either side closes the connection.
func (f *ConnFunc[In]) Dial(ctx context.Context, on Target, in In) (net.Conn, error) {
	n, err := NodeOf(ctx, on)
	if err != nil {
		return nil, err
	}
	s, err := openStream(ctx, f.e, f.nodes, n, &in)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openStream calls a function whose answer is a stream; in points to the argument.
func openStream(ctx context.Context, e *entry, nodes visitor, on *Node, in any) (*router.Stream, error) {
	failed := outgoing{e: e, n: on}
	if on == nil || on.self == nil {
		return nil, &Error{Op: "call " + e.name, Path: on.String(), Err: errOtherTree}
	}
	if err := on.gone(); err != nil {
		return nil, failed.wrap(err)
	}
	if err := ctx.Err(); err != nil {
		return nil, failed.wrap(context.Cause(ctx))
	}
	l := on.self
	if err := l.grantNodes(on.id, nodes, in); err != nil {
		return nil, failed.wrap(fmt.Errorf("the argument cannot travel: %w", err))
	}
	arg, err := marshalAt(in)
	if err != nil {
		return nil, failed.wrap(fmt.Errorf("the argument cannot be encoded: %w", err))
	}
	s := l.router.NewStream(on.id)
	q := call.Request{Fn: e.index, Arg: arg}
	if err := l.router.Send(ctx, on.id, core.HandleCall, s.Handle(), 0, q.Encode()); err != nil {
		s.Reset(err)
		return nil, failed.wrap(err)
	}
	return s, nil
}

// A SeqFunc is a function whose result is a sequence of values. Its caller ranges over them
// while they are made.
type SeqFunc[In, Out any] struct {
	e        *entry
	sendNode visitor
	recvNode visitor
}

// NewSeqFunc registers a function that yields values one by one. It runs ahead of its
// caller by no more than the window of a stream. When the caller leaves its loop, yield
// returns false and ctx is cancelled. A yielded error ends the sequence.
func NewSeqFunc[In, Out any](name string, fn func(context.Context, In) iter.Seq2[Out, error], opts ...Option) *SeqFunc[In, Out] {
	f := declareSeq[In, Out](name, opts)
	f.Define(fn)
	return f
}

// DeclareSeq is [Declare] for a SeqFunc.
func DeclareSeq[In, Out any](name string, opts ...Option) *SeqFunc[In, Out] {
	return declareSeq[In, Out](name, opts)
}

func declareSeq[In, Out any](name string, opts []Option) *SeqFunc[In, Out] {
	f := &SeqFunc[In, Out]{
		sendNode: types.VisitorOf(reflect.TypeFor[In]()),
		recvNode: types.VisitorOf(reflect.TypeFor[Out]()),
	}
	f.e = newEntry(name, kindSeq, opts, reflect.TypeFor[In](), reflect.TypeFor[Out]())
	return f
}

// Define gives a function that was made by [DeclareSeq] its body, as [Func.Define] does.
func (f *SeqFunc[In, Out]) Define(fn func(context.Context, In) iter.Seq2[Out, error]) {
	f.e.define(func(c *incoming) {
		var in In
		s := c.accept(&in, f.sendNode)
		if s == nil {
			return
		}
		defer s.Close()
		w := &items.Writer{S: s}
		stopWatch := watchEnd(s, func() { c.cancel(context.Canceled) })
		defer stopWatch()
		defer func() {
			if v := recover(); v != nil {
				w.Fail(newPanicError(v))
			}
		}()
		for out, err := range fn(c.ctx, in) {
			if err != nil {
				c.failed = err
				w.Fail(err)
				return
			}
			if err := c.l.grantNodes(c.m.Src, f.recvNode, &out); err != nil {
				c.failed = fmt.Errorf("the value cannot travel: %w", err)
				w.Fail(c.failed)
				return
			}
			if w.Value(out) != nil {
				c.cancel(context.Canceled) // watchEnd may be late
				return
			}
		}
		w.WriteEnd()
	})
}

// Call calls the function and returns the sequence of its results. If the sequence fails,
// its last pair has the error. Leaving the loop cancels the ctx of the function.
func (f *SeqFunc[In, Out]) Call(ctx context.Context, on Target, in In) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		var zero Out
		n, err := NodeOf(ctx, on)
		if err != nil {
			yield(zero, err)
			return
		}
		s, err := openStream(ctx, f.e, f.sendNode, n, &in)
		if err != nil {
			yield(zero, err)
			return
		}
		defer s.Close()
		stop := context.AfterFunc(ctx, func() { s.Reset(context.Cause(ctx)) })
		defer stop()
		call := outgoing{e: f.e, n: n}
		r := bufio.NewReader(s)
		for {
			item, last, err := items.Read(r, maxItem)
			if last && err == nil {
				return
			}
			var out Out
			if err == nil {
				err = core.Unmarshal(item, &out)
			}
			if err != nil {
				s.Reset(context.Canceled)
				if ctx.Err() != nil {
					err = context.Cause(ctx)
				}
				yield(zero, call.wrap(err))
				return
			}
			n.self.bindNodes(f.recvNode, reflect.ValueOf(&out).Elem())
			if !yield(out, nil) {
				s.Reset(context.Canceled)
				return
			}
		}
	}
}

// maxItem bounds a value of a sequence, in bytes.
const maxItem = core.MaxMessage

// watchEnd calls f when the other side of a stream has closed or reset it. That side never
// sends. stop closes the stream and waits for the goroutine that watches it.
func watchEnd(s *router.Stream, f func()) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var b [1]byte
		_, _ = s.Read(b[:])
		f()
	}()
	return func() {
		s.Close()
		<-done
	}
}
