package router

import (
	"testing"

	"github.com/mitosis-go/mitosis/core"
)

// marksOf returns what recognises the frames of a list.
func marksOf(list *core.Frame) (marks string) {
	for f := list; f != nil; f = f.Next {
		marks += string(f.Body[:1])
	}
	return marks
}

func call(mark byte) *core.Frame {
	return testFrame(core.Header{Src: 1, Dst: 2, Handle: core.HandleCall}, mark, 10)
}

func isDrained(q *queue) bool {
	select {
	case <-q.drain():
		return true
	default:
		return false
	}
}

func TestOneHasTheBaton(t *testing.T) {
	q := newQueue(10*mib, 100)
	if q.startInline(1) != nil {
		t.Error("nothing was queued")
	}
	q.hold(call('a'), nil)
	q.hold(call('b'), nil)
	list := q.startInline(1)
	if marksOf(list) != "ab" {
		t.Errorf("inline writing gets %s, want ab", marksOf(list))
	}
	q.put(call('c'), nil)
	q.put(testFrame(core.Header{Handle: core.HandlePing}, '!', 1), nil)
	if q.startInline(2) != nil || isDrained(q) {
		t.Error("another is writing")
	}
	// What was begun goes first, whatever came meanwhile.
	q.endInline(list.Next, 3)
	if q.startInline(3) != nil {
		t.Error("writeLoop has the baton")
	}
	if list, skip := q.nextBatch(); marksOf(list) != "b" || skip != 3 {
		t.Errorf("writeLoop gets %s, %d bytes of which are written; want b, 3", marksOf(list), skip)
	}
	if list, skip := q.nextBatch(); marksOf(list) != "!c" || skip != 0 {
		t.Errorf("writeLoop gets %s, %d bytes of which are written; want !c, 0", marksOf(list), skip)
	}
	q.hold(call('d'), nil)
	if q.startInline(4) != nil {
		t.Error("writeLoop has the baton until it asks for more")
	}
	if list, _ := q.nextBatch(); marksOf(list) != "d" {
		t.Errorf("writeLoop gets %s, want d", marksOf(list))
	}
	q.close(nil)
}

// TestInlineWaitsForThePeer: a second message is left to writeLoop as long as
// the peer has not sent anything since the first.
func TestInlineWaitsForThePeer(t *testing.T) {
	q := newQueue(10*mib, 100)
	q.hold(call('a'), nil)
	if list := q.startInline(0); marksOf(list) != "a" {
		t.Errorf("inline writing gets %s, want a", marksOf(list))
	}
	q.endInline(nil, 0)
	if !isDrained(q) {
		t.Error("something is left")
	}
	q.hold(call('b'), nil)
	if q.startInline(0) != nil {
		t.Error("the peer is not waiting for anything")
	}
	if q.baton.holder != loopWriter {
		t.Error("nobody writes")
	}
	q.close(nil)
}

func TestMuchIsNotWrittenInline(t *testing.T) {
	q := newQueue(10*mib, 100)
	for q.bytes <= inlineLimit {
		if q.baton.holder != nobody {
			t.Error("writeLoop was woken for little")
		}
		q.hold(call('a'), nil)
	}
	if q.baton.holder != loopWriter || q.startInline(1) != nil {
		t.Error("writeLoop was not woken for much")
	}
	q.close(nil)
}

func TestDrainWaitsForWhatIsHeldOrBeingWritten(t *testing.T) {
	q := newQueue(10*mib, 100)
	q.hold(call('a'), nil)
	drained := q.drain()
	list := q.startInline(1)
	select {
	case <-drained:
		t.Error("it is being written")
	default:
	}
	releaseAll(list)
	q.endInline(nil, 0)
	<-drained
	if !isDrained(q) {
		t.Error("nothing is left")
	}
}

func TestAQueueIsClosedWithTheBatonAway(t *testing.T) {
	q := newQueue(10*mib, 100)
	q.hold(call('a'), nil)
	q.hold(call('b'), nil)
	list := q.startInline(1)
	drained := q.drain()
	q.close(nil)
	<-drained
	q.endInline(list, 5)
	if list, _ := q.nextBatch(); list != nil || q.baton.left != nil || q.startInline(2) != nil {
		t.Error("a closed queue gives frames")
	}
}
