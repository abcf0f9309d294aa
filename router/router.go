package router

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// Router exchanges the messages of one context. New makes it, and Close ends it. Any number
// of goroutines may use it.
type Router struct {
	// Immutable after New.
	self     core.ID
	limits   Limits
	log      *slog.Logger
	pathOf   func(core.ID) string // may be nil
	handlers map[core.Handle]func(Message)
	onRoot   func(r *Router, root core.ID, body []byte) // may be nil

	// routes is the tree as readers and senders see it. Only the multiplexer stores it.
	routes atomic.Pointer[routes]

	ops     chan op       // unbuffered; any goroutine sends, the multiplexer receives
	stop    chan struct{} // closed by Close: the multiplexer ends
	stopped chan struct{} // closed by the multiplexer
	mux     mux           // owned by the multiplexer

	replies   sync.Pool // of *Reply, closed
	endpoints endpoints // replies, streams and transfers by handle
	partials  partials  // split messages that are arriving
	transfers transfers // split calls that are under way, by the handle of their answer

	sendBudget, receiveBudget budget
	loop                      loopback

	links     sync.WaitGroup // goroutines of links
	asks      sync.WaitGroup // goroutines that wait for IDs, and the one of loop
	closing   atomic.Bool
	closeOnce sync.Once
	done      chan struct{} // closed by Close at its end
}

// op is a function for the multiplexer to run.
type op struct {
	f    func()
	done chan struct{} // closed by the multiplexer
}

// New makes a Router and starts its multiplexer.
func New(c Config) *Router {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &Router{
		self: c.Self, limits: c.Limits.withDefaults(), log: log, pathOf: c.PathOf, handlers: c.Handlers, onRoot: c.OnRoot,
		ops: make(chan op), stop: make(chan struct{}), stopped: make(chan struct{}), done: make(chan struct{}),
	}
	r.routes.Store(&routes{self: c.Self, ancestors: append([]core.ID(nil), c.Ancestors...), allowSiblings: c.AllowSiblings})
	r.endpoints.init(c.FirstHandle)
	r.partials.init(r)
	r.sendBudget.left = uint64(r.limits.SendBudget)
	r.receiveBudget.left = uint64(r.limits.ReceiveBudget)
	r.mux.init(r, c)
	go r.muxLoop()
	return r
}

// nameOf returns the name of a context for the log.
func (r *Router) nameOf(id core.ID) string {
	if r.pathOf == nil {
		return strconv.FormatUint(uint64(id), 10)
	}
	return r.pathOf(id)
}

// Self returns the ID of the local context.
func (r *Router) Self() core.ID { return r.self }

// Done is closed when Close has ended everything.
func (r *Router) Done() <-chan struct{} { return r.done }

// Relation returns the relation of another context to the local one.
func (r *Router) Relation(id core.ID) Relation { return r.routes.Load().relation(id) }

// Contexts returns the known descendants, in no order.
func (r *Router) Contexts() []ContextInfo {
	var infos []ContextInfo
	for _, c := range r.routes.Load().all() {
		infos = append(infos, ContextInfo{c.id, c.parent, c.info})
	}
	return infos
}

// Size returns the number of the known descendants.
func (r *Router) Size() (n int) {
	for _, m := range r.routes.Load().contexts {
		n += len(m)
	}
	return n
}

// muxLoop is the multiplexer. It runs one op after the other, until Close. No op waits, so that
// a reader may wait for an op.
func (r *Router) muxLoop() {
	defer close(r.stopped)
	ticker := time.NewTicker(r.limits.PartialIdle / idleTicks)
	defer ticker.Stop()
	for {
		select {
		case o := <-r.ops:
			o.f()
			close(o.done)
		case <-ticker.C:
			r.partials.tick()
		case <-r.stop:
			return
		}
	}
}

// do has the multiplexer run f, and waits until it has. After the end of the multiplexer it
// returns false, and f does not run.
func (r *Router) do(f func()) bool {
	o := op{f, make(chan struct{})}
	select {
	case r.ops <- o:
		<-o.done
		return true
	case <-r.stopped:
		return false
	}
}

// Close ends all links, and everything that waits for them, with the reason; nil stands for
// core.ErrClosed. Queued frames are written before, as far as that takes no longer than
// Limits.Flush. Close returns when all goroutines of the router have ended and all carriers
// are closed.
func (r *Router) Close(reason error) error {
	if reason == nil {
		reason = core.ErrClosed
	}
	r.closeOnce.Do(func() {
		r.closing.Store(true)
		r.do(func() {
			r.mux.closed = true
			for l := range r.mux.links {
				l.Close(reason)
			}
		})
		r.links.Wait()
		err := &core.Error{Kind: core.KindClosed, Err: reason}
		if errors.Is(reason, core.ErrClosed) {
			err.Err = nil
		}
		r.endpoints.lose(func(core.ID) bool { return true }, err)
		r.asks.Wait()
		close(r.stop)
		<-r.stopped
		r.partials.drop(func(core.ID) bool { return true })
		close(r.done)
	})
	<-r.done
	return nil
}

// Send sends one message to a handle of another context, or of the local one. reply is the
// handle for the answer, or HandleNone. flags may be Cancel, or Dead for a body made by
// core.EncodeError.
//
// Send waits for room in the queue toward the other context, at most until ctx ends. If the
// message does not fit one frame, Send also waits for credit. When it returns, the caller may
// use the body again; the message may still be on its way.
//
// The error is ErrNoRoute or ErrGone where the other context cannot be reached; ErrTooLarge;
// ErrClosed; the destination's reason to refuse a split message; or the cause of ctx.
func (r *Router) Send(ctx context.Context, dst core.ID, h core.Handle, reply core.Handle, flags core.Flags, body []byte) error {
	if len(body) > r.limits.MessageSize {
		return &core.Error{Op: "send", Kind: core.KindTooLarge}
	}
	l, err := r.linkTo(dst)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if l == nil {
		return r.sendSelf(h, reply, flags, body)
	}
	if len(body) > core.MaxBody {
		return r.sendSplit(ctx, l, dst, h, reply, flags, body)
	}
	if flags&core.Cancel != 0 && r.transfers.cancel(r, l, dst, reply) {
		return nil
	}
	f := newFrame(core.Header{Dst: dst, Src: r.self, Auth: r.self, Handle: h, Reply: reply, Flags: flags}, body)
	return r.putResult(ctx, l, f, l.putLocal(f, ctx.Done(), nil))
}

// Flush waits until nothing is queued for the parent. Messages that were sent to the parent, or
// past it, are then written before any that are sent later, whatever flows they belong
// to. It returns the cause of ctx if that ends first, and nil where there is no parent any
// more.
func (r *Router) Flush(ctx context.Context) error {
	l := r.routes.Load().parent
	if l == nil {
		return nil
	}
	select {
	case <-l.q.drain():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// linkTo returns the link toward a context, nil for the local one.
func (r *Router) linkTo(dst core.ID) (*Link, error) {
	if r.closing.Load() {
		return nil, &core.Error{Op: "send", Kind: core.KindClosed}
	}
	if dst == r.self {
		return nil, nil
	}
	t := r.routes.Load()
	if l := t.via(dst); l != nil {
		return l, nil
	}
	if len(t.ancestors) > 0 {
		return nil, &core.Error{Op: "send", Kind: core.KindGone, Err: errors.New("the link to the parent is lost")}
	}
	return nil, &core.Error{Op: "send", Kind: core.KindNoRoute}
}

// putResult makes an error of the result of putting a frame into a queue. It releases the frame
// if the queue has not taken it.
func (r *Router) putResult(ctx context.Context, l *Link, f *core.Frame, res putResult) error {
	if res == taken {
		return nil
	}
	f.Release()
	switch res {
	case closedQueue:
		return goneError(l.q.reason())
	case full:
		return &core.Error{Op: "send", Kind: core.KindBusy}
	}
	return context.Cause(ctx)
}

// goneError returns the error for everything that waits for a context behind a lost link.
func goneError(reason error) error {
	if e, ok := reason.(*core.Error); ok && e.Kind == core.KindGone {
		return e
	}
	return &core.Error{Kind: core.KindGone, Err: reason}
}

// sendSelf delivers a message of the local context to itself.
func (r *Router) sendSelf(h, reply core.Handle, flags core.Flags, body []byte) error {
	header := core.Header{Dst: r.self, Src: r.self, Auth: r.self, Handle: h, Reply: reply, Flags: flags}
	if len(body) > core.MaxBody {
		// No link, no frames.
		r.complete(Message{Header: header, Body: append([]byte(nil), body...), Relation: RelationSelf, Rights: RightsFull})
		return nil
	}
	r.dispatch(r.routes.Load(), newFrame(header, body), nil)
	return nil
}

// Refuse answers a message with an error, if an answer is awaited. Unlike Send it never waits,
// so that handlers may call it.
func (r *Router) Refuse(m Message, err error) {
	if m.Reply == core.HandleNone {
		return
	}
	r.deadTo(m.from, core.Header{Dst: m.Src, Src: r.self, Auth: r.self, Handle: m.Reply, Flags: core.Dead}, core.EncodeErrorWithin(err, core.MaxBody))
}
