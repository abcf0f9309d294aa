package contexts

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/call"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// A Func is a function that can be called in any context of the tree. Make it with
// [NewFunc] and keep it in a package variable.
type Func[In, Out any] struct {
	e        *entry
	sendNode visitor // finds the nodes in an argument
	recvNode visitor // and those in a result
}

// NewFunc registers fn under a name, which must be unique in the program. It panics, with
// the line of its caller, if the name is taken, if a type cannot travel, and after Init.
//
// Values travel as CBOR: exported fields of structs by name, as the struct tags of
// fxamacker/cbor say. Times, and types with MarshalBinary, are fine. Channels, functions
// and interfaces other than any are not. To call a method of a value in another context,
// make the value the argument.
//
// Each call of fn has a goroutine of its own (but see [Serial]). Its ctx has the deadline
// of the caller. It is cancelled when the caller's ctx is, and when the caller is lost.
// [Self] and [Caller] take it.
func NewFunc[In, Out any](name string, fn func(context.Context, In) (Out, error), opts ...Option) *Func[In, Out] {
	f := declareFunc[In, Out](name, opts)
	f.Define(fn)
	return f
}

// Declare registers a function whose body is given by Define. A function that calls
// itself in another context can't be made by NewFunc, nor can two that call each other:
// Go refuses the initialization cycle of the variables.
//
//	var search = contexts.Declare[Query, Answer]("search")
//
//	func init() {
//		search.Define(func(ctx context.Context, q Query) (Answer, error) {
//			... search.Call(ctx, below, q) ...
//		})
//	}
func Declare[In, Out any](name string, opts ...Option) *Func[In, Out] {
	return declareFunc[In, Out](name, opts)
}

func declareFunc[In, Out any](name string, opts []Option) *Func[In, Out] {
	f := &Func[In, Out]{
		sendNode: types.VisitorOf(reflect.TypeFor[In]()),
		recvNode: types.VisitorOf(reflect.TypeFor[Out]()),
	}
	f.e = newEntry(name, kindFunc, opts, reflect.TypeFor[In](), reflect.TypeFor[Out]())
	f.e.nodes = f.sendNode != nil || f.recvNode != nil
	return f
}

// Define gives a function that was made by [Declare] its body, which is as for [NewFunc].
// It panics if the function has a body. Init panics if it has none.
func (f *Func[In, Out]) Define(fn func(context.Context, In) (Out, error)) {
	f.e.define(func(c *incoming) {
		var in In
		var out Out
		c.serveFunc(f.sendNode, f.recvNode, &in, &out, func() (err error) {
			out, err = fn(c.ctx, in)
			return err
		})
	})
}

// The compiler makes the code of a generic function once for each kind of types, and all
// of it crosses every first hop. So the work that does not depend on the types is in
// functions that take pointers to values.

// types knows which types can travel.
var types = call.Types[*Node]{TakenBy: takenBySender, NodeOf: nodeOfSender}

type visitor = call.Visitor[*Node]

// newEntry registers a function, without its body. Its panics name the line that called
// NewFunc or the like, which is three frames up.
func newEntry(name string, k kind, opts []Option, in, out reflect.Type) *entry {
	e := &entry{name: name, kind: k, where: lineOf(3)}
	for _, o := range opts {
		e.opts |= o
	}
	arg, err := types.Describe(in)
	if err != nil {
		panic(fmt.Sprintf("%s: contexts: function %q: argument: %v", e.where, name, err))
	}
	result, err := types.Describe(out)
	if err != nil {
		panic(fmt.Sprintf("%s: contexts: function %q: result: %v", e.where, name, err))
	}
	e.sig = "(" + arg + ") " + result
	register(e)
	return e
}

// lineOf returns the file and line of a caller, so many frames above the function that calls lineOf.
func lineOf(frames int) string {
	_, file, line, _ := runtime.Caller(frames + 1)
	return fmt.Sprintf("%s:%d", file, line)
}

// serveFunc decodes the argument, has call make the result, and answers.
func (c *incoming) serveFunc(sendNode, recvNode visitor, in, out any, call func() error) {
	if err := c.decodeArg(in, sendNode); err != nil {
		c.fail(err)
		return
	}
	if err := call(); err != nil {
		c.fail(err)
		return
	}
	if err := c.l.grantNodes(c.m.Src, recvNode, out); err != nil {
		c.fail(fmt.Errorf("the result cannot travel: %w", err))
		return
	}
	body, err := marshalAt(out)
	if err != nil {
		c.fail(fmt.Errorf("the result cannot be encoded: %w", err))
		return
	}
	c.reply(body)
}

// decodeArg decodes the argument of a call and binds the nodes in it.
func (c *incoming) decodeArg(in any, nodes visitor) error {
	if err := core.Unmarshal(c.q.Arg, in); err != nil {
		return fmt.Errorf("the argument cannot be decoded: %w", err)
	}
	c.l.bindNodes(nodes, reflect.ValueOf(in).Elem())
	return nil
}

// marshalAt encodes the value that p points to. Encoding p itself may differ, because
// then methods of pointers count.
func marshalAt(p any) ([]byte, error) { return core.Marshal(reflect.ValueOf(p).Elem().Interface()) }

// Name returns the name under which the function is registered.
func (f *Func[In, Out]) Name() string { return f.e.name }

// Call calls the function in another context, or in this one, and waits for the result.
// When ctx ends, Call returns at once with the error of ctx, and the function's ctx is
// cancelled.
//
// The error is an *Error with the path of the node. It wraps the error that the function
// returned: errors.Is and errors.As find sentinels such as fs.ErrNotExist, errors of
// registered types, and syscall.Errno. A panic arrives as a *PanicError.
func (f *Func[In, Out]) Call(ctx context.Context, on Target, in In) (Out, error) {
	return f.Go(ctx, on, in).Wait()
}

// Go sends the call and does not wait for the result. Calls from one goroutine to one node
// arrive in the order of their sending. They run side by side, unless the function is
// Serial or the target is a Chain.
//
// Go blocks until a ManagedHost is connected, and while more bytes wait to be sent than
// Limits allow.
func (f *Func[In, Out]) Go(ctx context.Context, on Target, in In) *Pending[Out] {
	n, chain, err := targetOf(ctx, on, f.e)
	p := &Pending[Out]{ctx: ctx, nodes: f.recvNode, call: outgoing{e: f.e, n: n, err: err}}
	if err == nil {
		p.call.sendCall(ctx, chain, f.sendNode, &in)
	}
	return p
}

// CallNoReply calls the function and asks for no reply: neither its result nor its error
// comes back. CallNoReply returns an error only if the call could not be sent.
func (f *Func[In, Out]) CallNoReply(ctx context.Context, on Target, in In) error {
	n, chain, err := targetOf(ctx, on, f.e)
	if err != nil {
		return err
	}
	c := outgoing{e: f.e, n: n, oneWay: true}
	c.sendCall(ctx, chain, f.sendNode, &in)
	return c.err
}

// Pending is a call under way. Exactly one goroutine may wait for it.
type Pending[Out any] struct {
	ctx   context.Context
	nodes visitor
	call  outgoing
	out   Out
}

// Wait waits for the result. If it is called again, it returns the same.
func (p *Pending[Out]) Wait() (Out, error) {
	if p.call.reply == nil {
		return p.out, p.call.err
	}
	p.call.waitFor(p.ctx, p.nodes, &p.out)
	return p.out, p.call.err
}

// outgoing is a call at the side of its caller.
type outgoing struct {
	e      *entry
	n      *Node
	oneWay bool

	reply *router.Reply // nil once the call is over
	err   error
}

func (c *outgoing) wrap(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: "call " + c.e.name, Path: c.n.String(), Err: err}
}

// sendCall encodes and sends the call; in points to the argument. A failure is kept in
// c.err.
func (c *outgoing) sendCall(ctx context.Context, chain *Chain, nodes visitor, in any) {
	if c.n == nil || c.n.self == nil {
		c.err = &Error{Op: "call " + c.e.name, Path: c.n.String(), Err: errOtherTree}
		return
	}
	if err := c.n.gone(); err != nil {
		c.err = c.wrap(err)
		return
	}
	l := c.n.self
	q := call.Request{Fn: c.e.index}
	if deadline, ok := ctx.Deadline(); ok {
		if q.Timeout = time.Until(deadline); q.Timeout <= 0 {
			c.err = c.wrap(context.DeadlineExceeded)
			return
		}
	}
	if err := ctx.Err(); err != nil {
		c.err = c.wrap(context.Cause(ctx))
		return
	}
	err := c.e.method.mayCall(ctx, c, in)
	if err != nil {
		c.err = c.wrap(err)
		return
	}
	if err = l.grantNodes(c.n.id, nodes, in); err != nil {
		c.err = c.wrap(fmt.Errorf("the argument cannot travel: %w", err))
		return
	}
	if q.Arg, err = marshalAt(in); err != nil {
		c.err = c.wrap(fmt.Errorf("the argument cannot be encoded: %w", err))
		return
	}
	handle := core.HandleNone
	if !c.oneWay {
		c.reply = l.router.NewReply(c.n.id)
		handle = c.reply.Handle()
	}
	if chain != nil {
		err = chain.sendCall(ctx, q, handle)
	} else {
		err = l.router.Send(ctx, c.n.id, core.HandleCall, handle, 0, q.Encode())
	}
	if err != nil {
		c.finish()
		c.err = c.wrap(err)
	}
}

// waitFor waits for the result and decodes it into the value that out points to. A failure
// is kept in c.err.
func (c *outgoing) waitFor(ctx context.Context, nodes visitor, out any) {
	body, err := c.wait(ctx)
	if err != nil {
		return
	}
	if err := core.Unmarshal(body, out); err != nil {
		c.err = c.wrap(fmt.Errorf("the result cannot be decoded: %w", err))
	}
	c.n.self.bindNodes(nodes, reflect.ValueOf(out).Elem())
}

// wait returns the body of the answer, or keeps and returns the error.
func (c *outgoing) wait(ctx context.Context) ([]byte, error) {
	select {
	case m := <-c.reply.C():
		c.finish()
		c.err = c.wrap(m.Err)
		return m.Body, c.err
	case <-ctx.Done():
	}
	// The answer may have come at the same time; it is worth more than the error.
	select {
	case m := <-c.reply.C():
		c.finish()
		c.err = c.wrap(m.Err)
		return m.Body, c.err
	default:
	}
	c.n.self.cancelCall(c.n.id, c.reply.Handle())
	c.finish()
	c.err = c.wrap(context.Cause(ctx))
	return nil, c.err
}

func (c *outgoing) finish() {
	if c.reply != nil {
		c.reply.Close()
		c.reply = nil
	}
}

// Result is one answer of [CallAll].
type Result[Out any] struct {
	Value Out
	Err   error
}

// CallAll calls the function on all targets at once. It yields each target with its
// result, in the order in which the results arrive. Leaving the loop cancels the calls
// that have not ended. For no targets there are no results.
func CallAll[T Target, In, Out any](ctx context.Context, f *Func[In, Out], on []T, in In) iter.Seq2[T, Result[Out]] {
	return func(yield func(T, Result[Out]) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		type answer struct {
			from   T
			result Result[Out]
		}
		// There is room for all answers, so that no goroutine waits for a loop that was left.
		answers := make(chan answer, len(on))
		for _, t := range on {
			go func() {
				out, err := f.Call(ctx, t, in)
				answers <- answer{t, Result[Out]{out, err}}
			}()
		}
		for range on {
			a := <-answers
			if !yield(a.from, a.result) {
				return
			}
		}
	}
}
