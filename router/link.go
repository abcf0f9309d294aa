package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// Link is the byte pipe to the parent or to a child. Three goroutines serve it: readLoop takes
// frames in, writeLoop writes queued frames that were not written inline, watch ends it. It
// is lost once: no other link has the same peer ID.
type Link struct {
	// Immutable after Attach.
	r       *Router
	peer    core.ID
	parent  bool
	info    []byte
	known   core.Block // see LinkConfig
	carrier io.ReadWriteCloser
	try     TryWriter // the carrier; nil where it is none
	q       *queue
	done    chan struct{} // closed by watch when everything has ended

	// The end. dying is closed once, by shutDown or cutOff, which sets err before.
	failOnce sync.Once
	err      error
	dying    chan struct{}
	orderly  bool          // write the queued frames first; set with err
	readEnd  chan struct{} // closed by readLoop
	writeEnd chan struct{} // closed by writeLoop

	// Counters, and the quotas that the link has used.
	bytesIn, bytesOut, framesIn, framesOut atomic.Uint64
	refused, forged                        atomic.Uint64
	queued                                 atomic.Int64 // bytes, in all queues
	queuedControl                          atomic.Int64 // frames, in all queues
	partials, partialBytes                 atomic.Int64
	streams                                atomic.Int64
	writing                                atomic.Int64 // since when the writer is in Write, in Unix nanoseconds; 0: it is not

	admitted int // split messages; guarded by partials.mu

	heart heartbeat
	input reader // owned by readLoop

	// Owned by the multiplexer.
	mux linkState
}

// Attach takes over a carrier as a link, and starts its goroutines. A child becomes known here,
// and is announced to all ancestors, before its first frame is read. ctx bounds only the call.
func (r *Router) Attach(ctx context.Context, c LinkConfig) (*Link, error) {
	if c.Carrier == nil {
		return nil, &core.Error{Op: "attach", Err: errors.New("no carrier")}
	}
	if len(c.Info) > maxInfo {
		return nil, &core.Error{Op: "attach", Kind: core.KindTooLarge, Err: fmt.Errorf("%d bytes of info; %d are allowed", len(c.Info), maxInfo)}
	}
	if err := ctx.Err(); err != nil {
		return nil, &core.Error{Op: "attach", Err: context.Cause(ctx)}
	}
	l := &Link{
		r: r, peer: c.Peer, parent: c.Parent, info: c.Info, known: c.Known, carrier: c.Carrier,
		q:     newQueue(r.limits.LinkQueue, 4*r.limits.ControlQueue),
		done:  make(chan struct{}),
		dying: make(chan struct{}), readEnd: make(chan struct{}), writeEnd: make(chan struct{}),
	}
	l.try, _ = c.Carrier.(TryWriter)
	l.input.pairs = make(map[pair]struct{})
	var err error
	if !r.do(func() {
		if err = r.mux.attach(l); err == nil {
			// Counted here, so that Close cannot miss them.
			r.links.Add(3)
		}
	}) {
		err = core.ErrClosed
	}
	if err != nil {
		return nil, &core.Error{Op: "attach", Err: err}
	}
	go l.readLoop()
	go l.writeLoop()
	go l.watch()
	return l, nil
}

// Done is closed when the link is lost and its goroutines have ended.
func (l *Link) Done() <-chan struct{} { return l.done }

// Peer returns the context at the other end.
func (l *Link) Peer() core.ID { return l.peer }

// Err returns why the link has ended, nil while it lives.
func (l *Link) Err() error {
	select {
	case <-l.dying:
		return l.err
	default:
		return nil
	}
}

// Close ends the link. Queued frames are written before, as far as that takes no longer than
// Limits.Flush. It does not wait: see Done.
func (l *Link) Close(reason error) {
	if reason == nil {
		reason = core.ErrClosed
	}
	l.shutDown(reason, true)
}

// fail ends the link because of an error.
func (l *Link) fail(err error) { l.shutDown(err, false) }

// shutDown has watch take the link down, unless something else has ended it before.
func (l *Link) shutDown(err error, orderly bool) {
	l.failOnce.Do(func() {
		l.err, l.orderly = err, orderly
		close(l.dying)
	})
}

// cutOff ends the link of a peer that misbehaves.
func (l *Link) cutOff(reason string) {
	err := &core.Error{Op: "link", Kind: core.KindProtocol, Err: fmt.Errorf("cut off: %s", reason)}
	l.failOnce.Do(func() {
		l.r.log.Error("a context is cut off", "context", l.r.nameOf(l.peer), "id", l.peer, "reason", reason)
		l.err = err
		close(l.dying)
	})
}

// Stats returns the counters.
func (l *Link) Stats() LinkStats {
	return LinkStats{
		BytesIn: l.bytesIn.Load(), BytesOut: l.bytesOut.Load(),
		FramesIn: l.framesIn.Load(), FramesOut: l.framesOut.Load(),
		Queued: int64(l.q.queuedBytes()), Refused: l.refused.Load(), Forged: l.forged.Load(),
		RTT: time.Duration(l.heart.rtt.Load()),
	}
}

// lastWords is the time for which a link is still read that cannot be written any more: a
// peer that answers and exits leaves its answer in the pipe.
const lastWords = 500 * time.Millisecond

// watch keeps the heartbeat until the link ends, and then takes its parts down in order.
func (l *Link) watch() {
	defer l.r.links.Done()
	ticker := time.NewTicker(l.r.limits.Heartbeat)
	defer ticker.Stop()
	for alive := true; alive; {
		select {
		case <-l.dying:
			alive = false
		case <-ticker.C:
			l.beat()
		case <-l.writeEnd:
			// Writing has failed. The reader may still find frames, and then the
			// end.
			wait(l.readEnd, lastWords)
			l.fail(l.q.reason())
		}
	}
	if l.orderly {
		wait(l.q.drain(), l.r.limits.Flush)
	}
	l.q.close(l.err)
	// Closing the carrier may take as long as its tool takes to exit. The news of the
	// loss must not wait for that.
	closed := make(chan struct{})
	go func() {
		_ = l.carrier.Close()
		close(closed)
	}()
	wait(l.readEnd, time.Second)
	l.r.do(func() { l.r.mux.linkLost(l) })
	<-closed
	<-l.readEnd
	<-l.writeEnd
	close(l.done)
}

// wait waits for c to be closed, at most for d.
func wait(c <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
	case <-t.C:
	}
}

// pay takes room from the quota of the link's frames in all queues, and reports whether there
// was some.
func (l *Link) pay(size int) bool {
	if l.queued.Add(int64(size)) > int64(l.r.limits.ChildQueue) && !l.parent {
		l.queued.Add(-int64(size))
		return false
	}
	return true
}

func (l *Link) payBack(size int) { l.queued.Add(-int64(size)) }

// payControl counts control frames. A link with too many is cut off: no honest peer sends so
// many, and they can't be refused.
func (l *Link) payControl(n int64) bool {
	if l.queuedControl.Add(n) > int64(l.r.limits.ControlQueue) {
		l.queuedControl.Add(-n)
		l.cutOff("too many control frames")
		return false
	}
	return true
}
