package router

import (
	"sync"

	"github.com/mitosis-go/mitosis/core"
)

const (
	// turn is how many bytes a flow may send before the next one has its turn:
	// a full frame, or many small ones.
	turn = 64 * kib
	// batch is the approximate number of bytes that are written to a link at once.
	batch = 64 * kib
	// Local senders wait while so many bytes of theirs are queued to a link. Senders of
	// bulk wait earlier, because queued bulk only delays other frames.
	localBulk   = 1 * mib
	localSingle = 4 * mib
)

// queue has the frames that wait to be written to a link: control frames first, then flows,
// which are served in turns. A reader never waits for it, as a frame that does not fit is
// refused. Local senders wait at a gate before the queue.
type queue struct {
	limit        int // bytes
	controlLimit int // control frames

	mu     sync.Mutex
	closed bool
	err    error // why it was closed
	baton  baton // says which goroutine may write

	control  []queued
	flows    map[flowKey]*flow
	first    *flow // the flows that have frames, in the order of their turns
	last     *flow
	ahead    int   // bytes of flows that were put ahead of bulk since its last turn
	spare    *flow // flows without frames, to be used again
	bytes    int
	barriers int
	singles  gate
	bulks    gate
}

// queued is a control frame and the link whose quota it counts against.
type queued struct {
	f    *core.Frame
	from *Link
}

// flowKey identifies a flow. All messages of a single frame between two contexts are one flow,
// so that they stay in order. The data of a stream is a flow of its own, and so are the frames
// of a split message.
type flowKey struct {
	src, dst core.ID
	bulk     core.Handle
	from     *Link // the link whose quota it counts against; nil: the local context
}

func keyOf(h *core.Header, from *Link) flowKey {
	if isBulk(h) {
		return flowKey{h.Src, h.Dst, h.Reply, from}
	}
	return flowKey{h.Src, h.Dst, 0, from}
}

// isBulk reports whether a frame belongs to a split message or is data of a stream. Data of a
// stream has the handles of both ends.
func isBulk(h *core.Header) bool {
	return h.Handle == core.HandleMore || h.Flags&core.First != 0 ||
		h.Handle >= core.FirstDynamic && h.Reply >= core.FirstDynamic
}

// isControl reports whether a frame goes ahead of all others.
func isControl(h *core.Header) bool {
	return h.Flags&core.Credit != 0 || h.Handle == core.HandleShutdown || servedByRouter(h.Handle)
}

// flow has the frames of one flow, in order.
type flow struct {
	key        flowKey
	head, tail *core.Frame
	next       *flow
	sent       int // bytes of its current turn
	barriers   []*barrier
}

// barrier has control frames that must not overtake the frames that are queued in some flows:
// the news that a context is gone comes after its last frames.
type barrier struct {
	frames []queued
	open   int // flows that still have frames
}

func newQueue(limit, controlLimit int) *queue {
	q := &queue{limit: limit, controlLimit: controlLimit, flows: make(map[flowKey]*flow)}
	q.baton.init(&q.mu)
	q.singles.limit, q.bulks.limit = localSingle, localBulk
	return q
}

// putResult says whether a queue has taken a frame. If not, the caller still owns the frame.
type putResult uint8

const (
	taken putResult = iota
	full
	closedQueue
	interrupted // by the first or second channel
)

// put queues a frame that came over the link from, or one of the local router
// if from is nil, and wakes the writer. It never waits.
func (q *queue) put(f *core.Frame, from *Link) putResult {
	q.mu.Lock()
	defer q.mu.Unlock()
	res := q.putLocked(f, from)
	q.wakeLocked()
	return res
}

// hold is put for a caller that will call Link.flush after its last frame. It wakes the writer
// only if the queue becomes too long for flush.
func (q *queue) hold(f *core.Frame, from *Link) putResult {
	q.mu.Lock()
	defer q.mu.Unlock()
	res := q.putLocked(f, from)
	if q.bytes > inlineLimit {
		q.wakeLocked()
	}
	return res
}

func (q *queue) putLocked(f *core.Frame, from *Link) putResult {
	if q.closed {
		return closedQueue
	}
	size := f.Size()
	if isControl(&f.Header) {
		if len(q.control) >= q.controlLimit || from != nil && !from.payControl(1) {
			return full
		}
		q.control = append(q.control, queued{f, from})
		q.bytes += size
		return taken
	}
	if q.bytes+size > q.limit || from != nil && !from.pay(size) {
		return full
	}
	if from == nil {
		q.gate(&f.Header).used += size // it goes out through the gate
	}
	q.appendLocked(f, from)
	return taken
}

// putFirst queues a frame of any kind among the control frames, however long the queue is. It
// reports whether the queue has taken it.
func (q *queue) putFirst(f *core.Frame, from *Link) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.control) >= q.controlLimit || !from.payControl(1) {
		return false
	}
	q.control = append(q.control, queued{f, from})
	q.bytes += f.Size()
	q.wakeLocked()
	return true
}

// putLocal queues a frame of the local context, and waits for room until one
// of the channels is closed. The caller calls Link.flush.
func (q *queue) putLocal(f *core.Frame, cancel, dead <-chan struct{}) putResult {
	if isControl(&f.Header) {
		return q.put(f, nil)
	}
	size := f.Size()
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return closedQueue
	}
	g := q.gate(&f.Header)
	if g.enter(size) {
		q.appendLocked(f, nil)
		q.mu.Unlock()
		return taken
	}
	w := &waiter{size, make(chan struct{}, 1)}
	g.waiters = append(g.waiters, w)
	q.mu.Unlock()
	select {
	case <-w.ok:
	case <-cancel:
	case <-dead:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-w.ok:
		// Both happened; having room, use it.
	default:
		if !g.leave(w) {
			break // the room was received above
		}
		if q.closed {
			return closedQueue
		}
		return interrupted
	}
	if q.closed {
		return closedQueue
	}
	q.appendLocked(f, nil)
	return taken
}

// putAfter queues control frames of the local router. They are written after all frames that
// are queued now in flows that match.
func (q *queue) putAfter(frames []*core.Frame, match func(flowKey) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		for _, f := range frames {
			f.Release()
		}
		return
	}
	b := &barrier{}
	for _, f := range frames {
		b.frames = append(b.frames, queued{f, nil})
		q.bytes += f.Size()
	}
	for fl := q.first; fl != nil; fl = fl.next {
		if match(fl.key) {
			fl.barriers = append(fl.barriers, b)
			b.open++
		}
	}
	if b.open == 0 {
		q.control = append(q.control, b.frames...)
		q.wakeLocked()
	} else {
		q.barriers++
	}
}

// gate returns the gate at which senders of such frames wait.
func (q *queue) gate(h *core.Header) *gate {
	if isBulk(h) {
		return &q.bulks
	}
	return &q.singles
}

func (q *queue) appendLocked(f *core.Frame, from *Link) {
	key := keyOf(&f.Header, from)
	fl := q.flows[key]
	if fl == nil {
		if fl = q.spare; fl != nil {
			q.spare, fl.next = fl.next, nil
		} else {
			fl = &flow{}
		}
		fl.key = key
		q.flows[key] = fl
		if size := f.Size(); key.bulk == 0 && q.ahead+size <= turn {
			// The flow had nothing queued, so it need not wait for the turns of all
			// others.
			q.ahead += size
			q.pushFirst(fl)
		} else {
			q.push(fl)
		}
	}
	f.Next = nil
	if fl.tail == nil {
		fl.head = f
	} else {
		fl.tail.Next = f
	}
	fl.tail = f
	q.bytes += f.Size()
}

// push gives a flow its turn after all others.
func (q *queue) push(fl *flow) {
	fl.next = nil
	if q.last == nil {
		q.first = fl
	} else {
		q.last.next = fl
	}
	q.last = fl
}

// pushFirst gives a flow the next turn.
func (q *queue) pushFirst(fl *flow) {
	if fl.next = q.first; q.first == nil {
		q.last = fl
	}
	q.first = fl
}

// batchLocked takes a list of frames of about a batch out of the queue. The caller has the
// baton.
func (q *queue) batchLocked() *core.Frame {
	var list frameList
	for len(q.control) > 0 && !list.full() {
		c := q.control[0]
		q.control = q.control[1:]
		if c.from != nil {
			c.from.payControl(-1)
		}
		q.bytes -= c.f.Size()
		list.add(c.f)
	}
	if len(q.control) == 0 {
		q.control = nil // lets go of the array that slicing has moved through
	}
	for q.first != nil && !list.full() {
		q.serve(q.first, &list)
	}
	return list.head
}

// serve gives the first flow its turn, or the part of it that the list has room for. The rest
// of the turn comes next, unless a flow that had nothing queued goes before it.
func (q *queue) serve(fl *flow, list *frameList) {
	q.first = fl.next
	if q.first == nil {
		q.last = nil
	}
	if fl.key.bulk != 0 && fl.sent == 0 {
		q.ahead = 0
	}
	for fl.head != nil && fl.sent < turn && !list.full() {
		f := fl.head
		if fl.head = f.Next; fl.head == nil {
			fl.tail = nil
		}
		f.Next = nil
		size := f.Size()
		q.bytes -= size
		if from := fl.key.from; from != nil {
			from.payBack(size)
		} else {
			q.gate(&f.Header).exit(size)
		}
		fl.sent += len(f.Encoded())
		list.add(f)
	}
	if fl.head != nil && fl.sent < turn {
		q.pushFirst(fl)
		return
	}
	fl.sent = 0
	if fl.head != nil {
		q.push(fl)
		return
	}
	for _, b := range fl.barriers {
		if b.open--; b.open == 0 {
			q.control = append(q.control, b.frames...)
			q.barriers--
		}
	}
	delete(q.flows, fl.key)
	*fl = flow{next: q.spare}
	q.spare = fl
}

// frameList is a list of frames to be written together.
type frameList struct {
	head, tail *core.Frame
	bytes      int
}

// full reports whether nothing more is to be written together with the list. A large frame ends
// a list: it is written by itself, which may take long, and frames that come meanwhile may
// go before the next large one.
func (l *frameList) full() bool {
	return l.bytes >= batch || l.tail != nil && len(l.tail.Encoded()) > copied
}

func (l *frameList) add(f *core.Frame) {
	f.Next = nil
	if l.tail == nil {
		l.head = f
	} else {
		l.tail.Next = f
	}
	l.tail = f
	l.bytes += len(f.Encoded())
}

// close drops all frames and wakes all waiters. Later calls do nothing.
func (q *queue) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.closed, q.err = true, err
	for _, c := range q.control {
		if c.from != nil {
			c.from.payControl(-1)
		}
		c.f.Release()
	}
	q.control = nil
	for fl := q.first; fl != nil; fl = fl.next {
		for f := fl.head; f != nil; {
			next := f.Next
			if from := fl.key.from; from != nil {
				from.payBack(f.Size())
			}
			f.Release()
			f = next
		}
	}
	q.flows, q.first, q.last, q.spare, q.bytes = nil, nil, nil, nil, 0
	for _, g := range []*gate{&q.singles, &q.bulks} {
		for _, w := range g.waiters {
			w.ok <- struct{}{}
		}
		g.waiters = nil
	}
	q.baton.releaseLocked()
}

// queuedBytes returns the number of bytes that are queued.
func (q *queue) queuedBytes() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// reason returns why the queue was closed.
func (q *queue) reason() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}
