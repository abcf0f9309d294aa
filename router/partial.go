package router

import (
	"sync"

	"github.com/mitosis-go/mitosis/core"
)

// A message that does not fit one frame is split. The reply field of its frames has the
// transfer, which is a handle of the sender. The body of the first frame begins with the
// size of the message and its real reply handle. The receiver puts the message together:
//
//	sender                                          receiver
//	first frame, up to 256 KiB in further ones  ->  partials.start, more
//	                                            <-  credit, once memory for the whole message is reserved
//	more                                        ->
//	                                            <-  credit as it arrives; the last says that all has come
//
// Either side gives up with a dead frame. The sender's goes to HandleMore, the receiver's to
// the transfer.

// partialKey names a split message at its receiver.
type partialKey struct {
	src      core.ID
	transfer core.Handle
}

// partial is a split message that is arriving.
type partial struct {
	// Immutable.
	key  partialKey
	l    *Link
	m    Message // without the body; Reply is the real one
	size uint64

	// Guarded by partials.mu.
	body     []byte
	granted  uint64
	told     uint64 // received, according to the last credit
	admitted bool
	reserved uint64 // of the budget

	// As of earlier ticks.
	seen uint64
	idle int
}

// partials has all split messages that are arriving.
type partials struct {
	r *Router

	mu      sync.Mutex
	m       map[partialKey]*partial
	waiting []*partial // for admission, first come first served
	used    uint64     // of the budget
}

const (
	// idleTicks is the number of ticks in Limits.PartialIdle.
	idleTicks = 6
	// idleBytes is the number of bytes that have to come in a tick: with fewer, a
	// message is idle.
	idleBytes = 512
	// stalledBytes is the number of bytes that have to come in a tick: with fewer, a
	// message loses the reserved memory that it has not used yet.
	stalledBytes = 1 * mib
	// ownReserve is the memory that each link may reserve whatever the others do, so
	// that a hostile link cannot keep the others from sending.
	ownReserve = 8 * mib
)

func (p *partials) init(r *Router) {
	p.r, p.m = r, make(map[partialKey]*partial)
}

// outbox gathers sends and deliveries, for when the lock is released.
type outbox []func()

func (o outbox) sendAll() {
	for _, f := range o {
		f()
	}
}

// start takes the first frame of a split message. m is the message without its body; its
// Reply is the transfer.
func (p *partials) start(f *core.Frame, l *Link, m Message) {
	defer f.Release()
	if l == nil {
		return // the local context does not split messages to itself
	}
	pt := &partial{key: partialKey{m.Src, m.Reply}, l: l, m: m}
	size, n, err := core.ParseUint(f.Body)
	var reply uint64
	var n2 int
	if err == nil {
		reply, n2, err = core.ParseUint(f.Body[n:])
	}
	pt.size = size
	pt.m.Reply = core.Handle(reply)
	pt.m.Flags &^= core.First | core.More
	data := f.Body[min(n+n2, len(f.Body)):]
	switch {
	case err != nil || m.Reply < core.FirstDynamic || uint64(len(data)) > size:
		l.violation(f, "a split message is malformed")
		p.fail(pt, core.KindProtocol).sendAll()
		return
	case size > uint64(p.r.limits.MessageSize):
		p.fail(pt, core.KindTooLarge).sendAll()
		return
	}
	p.mu.Lock()
	var out outbox
	switch {
	case p.m[pt.key] != nil:
		out = p.failLocked(p.m[pt.key], core.KindProtocol)
	case l.partials.Load() >= int64(p.r.limits.Partials):
		out = p.fail(pt, core.KindBusy)
	default:
		p.m[pt.key] = pt
		l.partials.Add(1)
		pt.granted = min(size, messageWindow)
		if size > messageWindow {
			p.waiting = append(p.waiting, pt)
		}
		out = p.appendLocked(pt, data)
		if size > messageWindow {
			out = append(out, p.admitLocked()...)
		}
	}
	p.mu.Unlock()
	out.sendAll()
}

// more takes a further frame of a split message. rel is the relation of its source.
func (p *partials) more(f *core.Frame, l *Link, rel Relation) {
	defer f.Release()
	p.mu.Lock()
	pt := p.m[partialKey{f.Src, f.Reply}]
	if pt != nil && pt.l != l {
		pt = nil
	}
	var out outbox
	switch {
	case f.Flags&core.Cancel != 0:
		out = p.cancelLocked(pt, f, l, rel)
	case pt == nil:
		// The message was given up here, and its sender does not know that yet.
	case f.Flags&core.Dead != 0:
		p.removeLocked(pt)
		out = append(p.tell(pt, core.DecodeError(f.Body)), p.admitLocked()...)
	default:
		out = p.appendLocked(pt, f.Body)
		if len(p.waiting) > 0 && p.m[pt.key] == nil {
			out = append(out, p.admitLocked()...)
		}
	}
	p.mu.Unlock()
	out.sendAll()
}

// cancelLocked cancels a split call, which may be here only in part. The frame belongs to the
// flow of the call, so that it cannot overtake it. Its body is the reply handle of the call.
func (p *partials) cancelLocked(pt *partial, f *core.Frame, l *Link, rel Relation) outbox {
	if pt != nil {
		return append(p.failLocked(pt, core.KindCanceled), p.admitLocked()...)
	}
	reply, _, err := core.ParseUint(f.Body)
	h := p.r.handlers[core.HandleCall]
	v := decide(rel, false, core.HandleCall, core.Cancel)
	if err != nil || h == nil || v == verdictRefuse {
		return nil
	}
	m := Message{Header: f.Header, Relation: rel, Rights: RightsLimited, from: l}
	m.Handle, m.Reply, m.Flags = core.HandleCall, core.Handle(reply), core.Cancel
	if v == verdictFull {
		m.Rights = RightsFull
	}
	return outbox{func() { h(m) }}
}

// appendLocked adds data, and hands the message over when it is whole.
func (p *partials) appendLocked(pt *partial, data []byte) outbox {
	got := uint64(len(pt.body))
	n := uint64(len(data))
	if n > pt.granted-got {
		return p.failLocked(pt, core.KindProtocol)
	}
	if !pt.admitted {
		if pt.l.partialBytes.Add(int64(n)) > int64(p.r.limits.PartialBytes) {
			pt.l.partialBytes.Add(-int64(n))
			return p.failLocked(pt, core.KindBusy)
		}
	}
	pt.growLocked(len(data))
	pt.body = append(pt.body, data...)
	if got+n < pt.size {
		return p.grantLocked(pt)
	}
	p.removeLocked(pt)
	m := pt.m
	m.Body = pt.body
	return outbox{func() { p.credit(pt, 0, pt.size-pt.told) }, func() { p.r.complete(m) }}
}

// growLocked makes room for n more bytes. A sender may announce a size and not send so much:
// memory is taken as bytes come.
func (pt *partial) growLocked(n int) {
	if need := len(pt.body) + n; pt.admitted && need > cap(pt.body) {
		room := uint64(max(need, 2*cap(pt.body), transferWindow))
		pt.body = append(make([]byte, 0, min(room, pt.size)), pt.body...)
	}
}

// grantLocked gives a sender credit for reserved memory, and tells it how many bytes have
// come.
func (p *partials) grantLocked(pt *partial) outbox {
	got := uint64(len(pt.body))
	more, arrived := uint64(0), got-pt.told
	if outstanding := pt.granted - got; pt.admitted && outstanding <= transferWindow/2 {
		more = min(pt.size-pt.granted, transferWindow-outstanding)
	}
	if more == 0 && arrived < freeFlight {
		return nil
	}
	pt.granted += more
	pt.told = got
	return outbox{func() { p.credit(pt, more, arrived) }}
}

// credit tells the sender how much more it may send, and how much has come.
func (p *partials) credit(pt *partial, more, arrived uint64) {
	p.toSender(pt, core.Credit, appendCredit(more, arrived))
}

func (p *partials) toSender(pt *partial, flags core.Flags, body []byte) {
	r := p.r
	f := newFrame(core.Header{Dst: pt.key.src, Src: r.self, Auth: r.self, Handle: pt.key.transfer, Flags: flags}, body)
	if pt.l.q.put(f, pt.l) != taken {
		f.Release()
	}
}

// admitLocked reserves memory for whole messages, in the order in which they came. A message
// that is larger than the budget has all of it for itself. It never reserves memory for a
// part: with parts of several messages reserved, none of them might ever be completed.
func (p *partials) admitLocked() outbox {
	var out outbox
	kept := p.waiting[:0]
	budget := uint64(p.r.limits.MessageBudget)
	blocked := false
	for _, pt := range p.waiting {
		fits := p.used == 0 || p.used+pt.size <= budget
		own := pt.size <= ownReserve && pt.l.admitted == 0
		if blocked && !own || !fits && !own {
			blocked = true
			kept = append(kept, pt)
			continue
		}
		pt.admitted = true
		pt.l.admitted++
		pt.reserved = pt.size
		p.used += pt.reserved
		pt.l.partialBytes.Add(-int64(len(pt.body)))
		out = append(out, p.grantLocked(pt)...)
	}
	clear(p.waiting[len(kept):])
	p.waiting = kept
	return out
}

func (p *partials) removeLocked(pt *partial) {
	delete(p.m, pt.key)
	pt.l.partials.Add(-1)
	if pt.admitted {
		p.used -= pt.reserved
		pt.l.admitted--
		return
	}
	pt.l.partialBytes.Add(-int64(len(pt.body)))
	for i, w := range p.waiting {
		if w == pt {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			break
		}
	}
}

func (p *partials) failLocked(pt *partial, k core.Kind) outbox {
	p.removeLocked(pt)
	return p.fail(pt, k)
}

// fail gives a message up. It tells the sender, and the endpoint that waits for the message.
func (p *partials) fail(pt *partial, k core.Kind) outbox {
	e := &core.Error{Op: "receive", Kind: k}
	body := core.EncodeLinkError(e)
	return append(p.tell(pt, e), func() {
		if pt.key.transfer >= core.FirstDynamic {
			p.toSender(pt, core.Dead, body)
		}
	})
}

// tell hands an error to the endpoint that waits for the message, if there is one.
func (p *partials) tell(pt *partial, err error) outbox {
	if pt.m.Handle < core.FirstDynamic {
		return nil
	}
	m := pt.m
	m.Err = err
	return outbox{func() { p.r.complete(m) }}
}

// drop gives up messages from lost contexts. Their senders need not be told.
func (p *partials) drop(lost func(core.ID) bool) {
	p.mu.Lock()
	for _, pt := range p.m {
		if lost(pt.key.src) {
			p.removeLocked(pt)
		}
	}
	out := p.admitLocked()
	p.mu.Unlock()
	out.sendAll()
}

// tick looks for senders that do not go on. The multiplexer calls it idleTicks times per
// Limits.PartialIdle.
func (p *partials) tick() {
	p.mu.Lock()
	var out outbox
	for _, pt := range p.m {
		got := uint64(len(pt.body))
		came := got - pt.seen
		pt.seen = got
		if pt.granted == got {
			continue // it waits for us
		}
		if came >= idleBytes {
			pt.idle = 0
		} else if pt.idle++; pt.idle >= idleTicks {
			out = append(out, p.failLocked(pt, core.KindDeadline)...)
			continue
		}
		if pt.admitted {
			// Reserved memory that is not used in time is lent to others.
			reserved := pt.size
			if came < stalledBytes {
				reserved = got
			}
			p.used += reserved - pt.reserved
			pt.reserved = reserved
		}
	}
	out = append(out, p.admitLocked()...)
	p.mu.Unlock()
	out.sendAll()
}
