package router

import (
	"sync"

	"github.com/mitosis-go/mitosis/core"
)

// baton is the right to take frames out of a queue and to write them to the carrier. One
// goroutine at a time holds it, until its frames are written. So frames leave in the order in
// which they were taken, and none begins within another.
type baton struct {
	// Guarded by the queue's mu.
	holder  holder
	work    sync.Cond     // writeLoop waits until it has the baton, or for the end
	left    *core.Frame   // frames that inline writing has left to writeLoop
	skip    int           // bytes of the first of left that are written already
	heard   uint64        // see startInline
	drained chan struct{} // closed when everything is written; nil: nobody waits for that
}

// holder says who has the baton.
//
//	nobody       -> inlineWriter  startInline, where there are frames
//	nobody       -> loopWriter    wakeLocked, where there are frames
//	inlineWriter -> nobody        endInline, where none are left
//	inlineWriter -> loopWriter    endInline, where some are
//	loopWriter   -> nobody        nextBatch, where none are left
type holder uint8

const (
	nobody       holder = iota
	loopWriter          // Link.writeLoop, or it is being woken
	inlineWriter        // a goroutine in Link.flush
)

// inlineLimit bounds the bytes that are written inline: some small frames, which take less
// time than to wake another goroutine.
const inlineLimit = 16 * kib

func (b *baton) init(mu *sync.Mutex) {
	b.work.L = mu
	b.heard = ^uint64(0)
}

// pendingLocked reports whether there is anything to write.
func (q *queue) pendingLocked() bool {
	return q.baton.left != nil || len(q.control) > 0 || q.first != nil
}

// wakeLocked passes the baton to writeLoop if nobody has it. An inline writer finds the frames
// that were queued meanwhile by itself.
func (q *queue) wakeLocked() {
	if q.baton.holder == nobody && q.pendingLocked() {
		q.baton.holder = loopWriter
		q.baton.work.Signal()
	}
}

func (q *queue) wake() {
	q.mu.Lock()
	q.wakeLocked()
	q.mu.Unlock()
}

// idleLocked closes drained if everything is written.
func (q *queue) idleLocked() {
	b := &q.baton
	if b.holder == nobody && !q.pendingLocked() && b.drained != nil {
		close(b.drained)
		b.drained = nil
	}
}

// nextBatch waits for frames, and returns a list of about a batch. skip is the number of bytes
// of the first frame that are written already. It returns nil when the queue is closed.
// Only writeLoop calls it: the call gives the baton back, and writeLoop has it again when
// nextBatch returns.
func (q *queue) nextBatch() (list *core.Frame, skip int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := &q.baton
	if b.holder == loopWriter {
		b.holder = nobody
	}
	for !q.closed && (b.holder == inlineWriter || !q.pendingLocked()) {
		q.idleLocked()
		b.work.Wait()
	}
	if q.closed {
		return nil, 0
	}
	b.holder = loopWriter
	if b.left != nil {
		list, skip = b.left, b.skip
		b.left, b.skip = nil, 0
		return list, skip
	}
	return q.batchLocked(), 0
}

// startInline gives the caller the baton and the queued frames. It returns nil where nothing
// is queued, or another goroutine has or gets the baton. heard is the number of frames that
// have come from the peer so far. If it is the same as last time, the peer is still at work
// on the frames of that time. Then writeLoop is woken, which delays nothing, and many frames
// will share a Write.
func (q *queue) startInline(heard uint64) *core.Frame {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := &q.baton
	if q.closed || b.holder != nobody || !q.pendingLocked() {
		return nil
	}
	if heard == b.heard || q.bytes > inlineLimit {
		q.wakeLocked()
		return nil
	}
	b.holder, b.heard = inlineWriter, heard
	return q.batchLocked()
}

// endInline gives the baton back, with the frames that could not be written.
func (q *queue) endInline(left *core.Frame, skip int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		releaseAll(left)
		return
	}
	b := &q.baton
	b.holder, b.left, b.skip = nobody, left, skip
	q.wakeLocked()
	q.idleLocked()
}

// drain returns a channel that is closed when all that is queued is written,
// or the queue is closed.
func (q *queue) drain() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := &q.baton
	if b.drained != nil {
		return b.drained
	}
	c := make(chan struct{})
	b.drained = c
	if q.closed {
		b.releaseLocked()
	} else {
		q.idleLocked()
	}
	return c
}

// releaseLocked releases the frames that are left, and wakes all waiters. The queue is
// closed.
func (b *baton) releaseLocked() {
	releaseAll(b.left)
	b.left = nil
	if b.drained != nil {
		close(b.drained)
		b.drained = nil
	}
	b.work.Broadcast()
}

func releaseAll(list *core.Frame) {
	for f := list; f != nil; {
		next := f.Next
		f.Release()
		f = next
	}
}
