package contexts

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"net"
	"reflect"

	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// A ConnFunc is a function that talks to its caller over a byte stream.
type ConnFunc[In any] struct {
	e     *entry
	nodes visitor
}

// NewConnFunc registers a function that gets a flow-controlled connection to
// its caller. When it returns the connection is closed; an error that it
// returns is what the caller's Read returns in place of io.EOF. Its context is
// cancelled when the caller is lost. See [NewFunc] for the rest.
//
// At both ends the connection has two more methods: CloseWrite() error, behind
// which the other side reads io.EOF, and Reset(error), which ends the connection
// and has the other side read that error instead.
func NewConnFunc[In any](name string, fn func(ctx context.Context, conn net.Conn, in In) error, opts ...Option) *ConnFunc[In] {
	f := &ConnFunc[In]{nodes: visitorOf(reflect.TypeFor[In]())}
	f.e = newEntry(name, kindConn, opts, reflect.TypeFor[In](), reflect.TypeFor[struct{}]())
	f.e.serve = func(c *incoming) {
		var in In
		c.serveConn(&in, f.nodes, func(s *router.Stream) error { return fn(c.ctx, s, in) })
	}
	register(f.e)
	return f
}

// accept decodes the argument and accepts the stream to the caller. Where that
// can't be done it says so and returns nil.
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
	// A caller that gives up ends the stream, not the call's ctx.
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

// Dial calls the function and returns the stream to it. ctx bounds the
// opening; the call lasts until either side closes.
func (f *ConnFunc[In]) Dial(ctx context.Context, on *Node, in In) (net.Conn, error) {
	s, err := openStream(ctx, f.e, f.nodes, on, &in)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openStream calls a function whose answer is a stream, with what in points to.
func openStream(ctx context.Context, e *entry, nodes visitor, on *Node, in any) (*router.Stream, error) {
	call := outgoing{e: e, n: on}
	if on == nil || on.self == nil {
		return nil, &Error{Op: "call " + e.name, Path: on.String(), Err: errOtherTree}
	}
	if err := on.gone(); err != nil {
		return nil, call.wrap(err)
	}
	if err := ctx.Err(); err != nil {
		return nil, call.wrap(context.Cause(ctx))
	}
	l := on.self
	if err := l.offer(on.id, nodes, in); err != nil {
		return nil, call.wrap(fmt.Errorf("the argument cannot travel: %w", err))
	}
	arg, err := marshalAt(in)
	if err != nil {
		return nil, call.wrap(fmt.Errorf("the argument cannot be encoded: %w", err))
	}
	s := l.router.NewStream(on.id)
	q := request{fn: e.index, arg: arg}
	if err := l.router.Send(ctx, on.id, core.HandleCall, s.Handle(), 0, q.encode()); err != nil {
		s.Reset(err)
		return nil, call.wrap(err)
	}
	return s, nil
}

// A SeqFunc is a function whose result is a sequence of values, which its
// caller ranges over while they are made.
type SeqFunc[In, Out any] struct {
	e        *entry
	sendNode visitor
	recvNode visitor
}

// NewSeqFunc registers a function that yields values one by one. It runs
// ahead of its caller by no more than a stream's window. When the caller
// leaves its loop, yield returns false and ctx is cancelled. An error that is
// yielded ends the sequence.
func NewSeqFunc[In, Out any](name string, fn func(context.Context, In) iter.Seq2[Out, error], opts ...Option) *SeqFunc[In, Out] {
	f := &SeqFunc[In, Out]{
		sendNode: visitorOf(reflect.TypeFor[In]()),
		recvNode: visitorOf(reflect.TypeFor[Out]()),
	}
	f.e = newEntry(name, kindSeq, opts, reflect.TypeFor[In](), reflect.TypeFor[Out]())
	f.e.serve = func(c *incoming) {
		var in In
		s := c.accept(&in, f.sendNode)
		if s == nil {
			return
		}
		defer s.Close()
		w := &seqWriter{s: s}
		stopWatch := watchEnd(s, func() { c.cancel(context.Canceled) })
		defer stopWatch()
		defer func() {
			if v := recover(); v != nil {
				w.fail(newPanicError(v))
			}
		}()
		for out, err := range fn(c.ctx, in) {
			if err != nil {
				c.failed = err
				w.fail(err)
				return
			}
			if err := c.l.offer(c.m.Src, f.recvNode, &out); err != nil {
				c.failed = fmt.Errorf("the value cannot travel: %w", err)
				w.fail(c.failed)
				return
			}
			if w.value(out) != nil {
				c.cancel(context.Canceled) // the watch may be late
				return
			}
		}
		w.end()
	}
	register(f.e)
	return f
}

// Call calls the function and returns the sequence of its results. The last
// pair of a sequence that did not end well holds the error. Leaving the loop
// cancels the function.
func (f *SeqFunc[In, Out]) Call(ctx context.Context, on *Node, in In) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		var zero Out
		s, err := openStream(ctx, f.e, f.sendNode, on, &in)
		if err != nil {
			yield(zero, err)
			return
		}
		defer s.Close()
		stop := context.AfterFunc(ctx, func() { s.Reset(context.Cause(ctx)) })
		defer stop()
		call := outgoing{e: f.e, n: on}
		r := bufio.NewReader(s)
		for {
			item, last, err := readItem(r, maxItem)
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
			on.self.bind(f.recvNode, reflect.ValueOf(&out).Elem())
			if !yield(out, nil) {
				s.Reset(context.Canceled)
				return
			}
		}
	}
}

// An item of a sequence on its stream is one byte that tells what it is, its
// length as a uvarint, and so many bytes.
const (
	itemValue = 0 // a value in CBOR
	itemError = 1 // an encoded error; nothing follows
	itemEnd   = 2 // no bytes; nothing follows
)

// maxItem bounds a value of a sequence.
const maxItem = core.MaxMessage

func appendItem(to []byte, kind byte, b []byte) []byte {
	to = append(to, kind)
	to = binary.AppendUvarint(to, uint64(len(b)))
	return append(to, b...)
}

// seqWriter writes items.
type seqWriter struct {
	s   *router.Stream
	buf []byte
}

func (w *seqWriter) write(kind byte, b []byte) error {
	w.buf = appendItem(w.buf[:0], kind, b)
	_, err := w.s.Write(w.buf)
	return err
}

func (w *seqWriter) value(v any) error {
	b, err := core.Marshal(v)
	if err != nil {
		w.fail(fmt.Errorf("the value cannot be encoded: %w", err))
		return err
	}
	return w.write(itemValue, b)
}

func (w *seqWriter) fail(err error) { _ = w.write(itemError, core.EncodeError(err)) }
func (w *seqWriter) end()           { _ = w.write(itemEnd, nil) }

// readItem reads one item of at most limit bytes. A stream that ends without an
// end item was cut.
func readItem(r *bufio.Reader, limit uint64) (item []byte, last bool, err error) {
	k, n, err := readItemHead(r, limit)
	if err != nil {
		return nil, true, unexpected(err)
	}
	if item, err = readItemBody(r, n); err != nil {
		return nil, true, err
	}
	switch k {
	case itemValue:
		return item, false, nil
	case itemError:
		return nil, true, core.DecodeError(item)
	case itemEnd:
		return nil, true, nil
	}
	return nil, true, core.ErrProtocol
}

// readItemHead reads what comes before the bytes of an item: what it is, and
// their number. At the end of the stream it returns io.EOF.
func readItemHead(r *bufio.Reader, limit uint64) (kind byte, n uint64, err error) {
	if kind, err = r.ReadByte(); err != nil {
		return 0, 0, err
	}
	if n, err = binary.ReadUvarint(r); err != nil {
		return 0, 0, unexpected(err)
	}
	if n > limit {
		return 0, 0, ErrTooLarge
	}
	return kind, n, nil
}

// readItemBody reads the bytes. Memory is taken as they arrive, not as they are
// announced.
func readItemBody(r *bufio.Reader, n uint64) ([]byte, error) {
	item, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && uint64(len(item)) < n {
		err = io.ErrUnexpectedEOF
	}
	return item, err
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// watchEnd calls f when the other side of a stream on which it never sends
// has closed or reset it. The returned function ends the watch, and waits for
// it.
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
