package router

import (
	"slices"
	"testing"

	"github.com/mitosis-go/mitosis/core"
)

// testFrame is a frame that is recognised by the first byte of its body.
func testFrame(h core.Header, mark byte, size int) *core.Frame {
	f := core.NewFrame(max(size, 1))
	f.Header = h
	f.Body[0] = mark
	return f
}

// drainMarks takes all there is and returns the marks in order.
func drainMarks(q *queue) (marks []byte) {
	for q.queuedBytes() > 0 {
		for f, _ := q.nextBatch(); f != nil; f = f.Next {
			marks = append(marks, f.Body[0])
		}
	}
	return marks
}

func testLink(limits Limits) *Link { return &Link{r: &Router{limits: limits.withDefaults()}} }

func TestQueueServesFlowsInTurns(t *testing.T) {
	q, l := newQueue(10*mib, 100), testLink(Limits{})
	bulk := func(reply core.Handle) core.Header {
		return core.Header{Src: 1, Dst: 2, Handle: 5000, Reply: reply}
	}
	for i := range byte(3) {
		q.put(testFrame(bulk(2000), 'a'+i, core.MaxBody), l)
	}
	for i := range byte(3) {
		q.put(testFrame(bulk(2001), 'k'+i, core.MaxBody), l)
	}
	q.put(testFrame(core.Header{Src: 1, Dst: 2, Handle: core.HandleCall, Reply: 7000}, '1', 10), l)
	q.put(testFrame(core.Header{Src: 1, Dst: 2, Handle: core.HandleCall, Reply: 7001}, '2', 10), l)
	q.put(testFrame(core.Header{Src: 1, Dst: 2, Handle: core.HandleCall, Reply: 7000, Flags: core.Cancel}, '3', 10), l)
	q.put(testFrame(core.Header{Src: 3, Dst: 2, Handle: 5000, Flags: core.Credit}, '!', 10), l)
	if got := string(drainMarks(q)); got != "!123akblcm" {
		t.Errorf("the order is %s, want !123akblcm", got)
	}
	if l.queued.Load() != 0 || l.queuedControl.Load() != 0 || len(q.flows) != 0 {
		t.Errorf("left: %d bytes, %d control frames, %d flows", l.queued.Load(), l.queuedControl.Load(), len(q.flows))
	}
}

// A small message waits for the one frame of bulk that is being written, and not
// for the rest of a turn; the flow that it interrupts goes on with its turn.
func TestSmallMessageInterruptsATurn(t *testing.T) {
	q, l := newQueue(10*mib, 100), testLink(Limits{})
	for i := range byte(8) {
		reply := core.Handle(2000)
		if i >= 4 {
			reply++
		}
		q.put(testFrame(core.Header{Src: 1, Dst: 2, Handle: 5000, Reply: reply}, 'a'+i, core.MaxBody/2), l)
	}
	var got []byte
	take := func() {
		for f, _ := q.nextBatch(); f != nil; f = f.Next {
			got = append(got, f.Body[0])
		}
	}
	take()
	q.put(testFrame(core.Header{Src: 1, Dst: 2, Handle: core.HandleCall, Reply: 7000}, '1', 10), l)
	take()
	got = append(got, drainMarks(q)...)
	if string(got) != "a1befcdgh" {
		t.Errorf("the order is %s, want a1befcdgh", got)
	}
}

// Small messages go ahead of bulk that waits, but not for ever.
func TestBulkHasItsTurnAmongManySmallMessages(t *testing.T) {
	q, l := newQueue(10*mib, 100), testLink(Limits{})
	for i := range byte(4) {
		q.put(testFrame(core.Header{Src: 1, Dst: 2, Handle: 5000, Reply: 2000}, 'a'+i, core.MaxBody), l)
	}
	var got []byte
	sender := core.ID(10)
	for range 200 {
		// A little more comes each time than a batch takes, always from others.
		for range 2 * batch / (4 * kib) {
			sender++
			q.put(testFrame(core.Header{Src: sender, Dst: 2, Handle: core.HandleCall, Reply: 7000}, '.', 4*kib), l)
		}
		for f, _ := q.nextBatch(); f != nil; f = f.Next {
			if f.Body[0] != '.' {
				got = append(got, f.Body[0])
			}
		}
	}
	if string(got) != "abcd" {
		t.Errorf("%q was all that came of the bulk", got)
	}
}

func TestQueueRefusesWhatDoesNotFit(t *testing.T) {
	for name, limits := range map[string]Limits{"link": {}, "child": {ChildQueue: 1 * mib}} {
		limit := 100 * mib
		if name == "link" {
			limit = 1 * mib
		}
		q, l := newQueue(limit, 100), testLink(limits)
		n := 0
		for q.put(testFrame(core.Header{Src: 1, Dst: core.ID(n), Handle: core.HandleCall}, 0, 1000), l) == taken {
			n++
		}
		if n < 1*mib/6000 || n > 1*mib/1000 {
			t.Errorf("%s: %d frames were taken", name, n)
		}
		if name == "child" {
			if q.put(testFrame(core.Header{Src: 9, Dst: 3, Handle: core.HandleCall}, 0, 1000), testLink(limits)) != taken {
				t.Error("one child's quota holds another up")
			}
		}
		drainMarks(q)
		if q.put(testFrame(core.Header{Src: 1, Handle: core.HandleCall}, 0, 1000), l) != taken {
			t.Errorf("%s: nothing is taken when there is room again", name)
		}
	}
}

func TestQueueOfNothing(t *testing.T) {
	q, l := newQueue(1, 100), testLink(Limits{})
	if q.put(testFrame(core.Header{Handle: core.HandleCall}, 0, 1), l) != full {
		t.Error("a frame was taken")
	}
	// Local senders are held up by their gates, not by the cap.
	if q.putLocal(testFrame(core.Header{Handle: core.HandleCall}, 'x', 1), nil, nil) != taken {
		t.Error("a local frame was refused")
	}
	q.close(nil)
	if q.putLocal(testFrame(core.Header{Handle: core.HandleCall}, 0, 1), nil, nil) != closedQueue {
		t.Error("a closed queue takes frames")
	}
	if f, _ := q.nextBatch(); f != nil {
		t.Error("a closed queue gives frames")
	}
}

func TestTooManyControlFramesCloseTheLink(t *testing.T) {
	q, l := newQueue(1*mib, 1000), testLink(Limits{ControlQueue: 10})
	l.dying = make(chan struct{})
	l.r.log = discardLog
	for range 10 {
		if q.put(testFrame(core.Header{Handle: core.HandlePing}, 0, 1), l) != taken {
			t.Fatal("refused too early")
		}
	}
	if q.put(testFrame(core.Header{Handle: core.HandlePing}, 0, 1), l) != full || l.Err() == nil {
		t.Error("the link goes on")
	}
}

func TestNewsDoNotOvertake(t *testing.T) {
	q, l := newQueue(10*mib, 100), testLink(Limits{})
	put := func(src core.ID, mark byte) {
		q.put(testFrame(core.Header{Src: src, Dst: 9, Handle: core.HandleCall}, mark, core.MaxBody), l)
	}
	put(1, 'a')
	put(2, 'b')
	put(1, 'c')
	put(3, 'd')
	q.putAfter([]*core.Frame{testFrame(core.Header{Handle: core.HandleRoute}, '!', 1)}, func(k flowKey) bool { return k.src == 1 })
	q.putAfter([]*core.Frame{testFrame(core.Header{Handle: core.HandleRoute}, '?', 1)}, func(k flowKey) bool { return k.src == 7 })
	put(2, 'e')
	put(3, 'f')
	got := drainMarks(q)
	if got[0] != '?' || slices.Index(got, '!') < slices.Index(got, 'c') || len(got) != 8 {
		t.Errorf("the order is %s, want ? first, ! after c, and all eight", got)
	}
}

func TestGateLetsSendersInInTurn(t *testing.T) {
	q := newQueue(100*mib, 100)
	done := make(chan byte, 10)
	h := core.Header{Src: 1, Dst: 2, Handle: core.HandleCall}
	used := 0
	for used < localSingle {
		f := testFrame(h, 'x', core.MaxBody)
		used += f.Size()
		if used > localSingle {
			f.Release()
			break
		}
		if q.putLocal(f, nil, nil) != taken {
			t.Fatal("refused")
		}
	}
	for i := range byte(3) {
		go func() { q.putLocal(testFrame(h, 'a'+i, core.MaxBody), nil, nil); done <- i }()
		eventually(t, "it waits", func() bool { q.mu.Lock(); defer q.mu.Unlock(); return len(q.singles.waiters) == int(i)+1 })
	}
	cancel := make(chan struct{})
	go func() {
		if q.putLocal(testFrame(h, 'z', 1), nil, cancel) != interrupted {
			t.Error("not interrupted")
		}
		done <- 99
	}()
	eventually(t, "it waits", func() bool { q.mu.Lock(); defer q.mu.Unlock(); return len(q.singles.waiters) == 4 })
	close(cancel)
	if i := <-done; i != 99 {
		t.Errorf("%d came in without room", i)
	}
	go func() {
		for range 100 {
			if f, _ := q.nextBatch(); f == nil {
				return
			}
		}
	}()
	for i := range byte(3) {
		<-done
		_ = i
	}
	q.close(nil)
}
