package router

import (
	"errors"
	"io"
	"runtime"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// reader is what readLoop of a link keeps from frame to frame.
type reader struct {
	// The last way looked up, valid for one table.
	routes    *routes
	src, auth core.ID
	dst       core.ID
	out       *Link
	relation  Relation // of src and auth to dst, where dst is another context
	valid     bool

	pairs map[pair]struct{} // that the multiplexer knows already
	held  []*Link           // that have frames which flushHeld has to see to
	bulk  bool              // has come since the reader yielded; see yields

	control   core.Meter
	violating int
	lastNote  time.Time
	notes     int // since lastNote
}

// pair is two contexts below different children.
type pair struct{ src, dst core.ID }

// readLoop takes frames in until the link fails. It never waits for anything
// but the carrier and the multiplexer, which waits for nobody.
func (l *Link) readLoop() {
	defer l.r.links.Done()
	defer close(l.readEnd)
	defer l.flushHeld()
	d := core.NewReader(countingReader{l})
	for {
		f, err := d.Next()
		if err != nil {
			if errors.Is(err, core.ErrProtocol) {
				l.cutOff(err.Error())
			} else {
				l.fail(&core.Error{Op: "link", Kind: core.KindGone, Err: err})
			}
			return
		}
		l.framesIn.Add(1)
		yield := l.input.yields(&f.Header, l.r.self)
		l.receive(f)
		if yield {
			runtime.Gosched()
		}
		select {
		case <-l.dying:
			if !l.orderly {
				return
			}
		default:
		}
	}
}

// yields reports whether what a frame wakes is to run before the next frame is
// looked at: a message for the local context, with bulk around it. A reader that
// has bulk to take in goes on for long without waiting, and who has just been woken
// runs when this goroutine waits or another processor happens to look for work.
// Once for each frame of bulk does: without bulk there is nothing to be gained.
func (in *reader) yields(h *core.Header, self core.ID) bool {
	if isBulk(h) {
		in.bulk = true
		return false
	}
	yield := in.bulk && h.Dst == self && !isControl(h)
	if yield {
		in.bulk = false
	}
	return yield
}

type countingReader struct{ l *Link }

func (c countingReader) Read(b []byte) (int, error) {
	c.l.flushHeld()
	n, err := c.l.carrier.Read(b)
	if n < 0 || n > len(b) {
		return 0, io.ErrNoProgress // a carrier that lies
	}
	c.l.bytesIn.Add(uint64(n))
	return n, err
}

// flushHeld has written what was passed on since the last Read: what came
// together goes on together.
func (l *Link) flushHeld() {
	in := &l.input
	for _, out := range in.held {
		out.flush()
	}
	clear(in.held)
	in.held = in.held[:0]
}

// receive checks where a frame comes from, and has it dispatched.
func (l *Link) receive(f *core.Frame) {
	t := l.r.routes.Load()
	if !t.behind(l, f.Src) || f.Auth != f.Src && !t.behind(l, f.Auth) {
		l.forgery(f)
		return
	}
	l.r.dispatch(t, f, l)
}

// forward queues a frame to the link toward its destination.
func (l *Link) forward(t *routes, f *core.Frame) *refusal {
	in := &l.input
	if !in.valid || in.routes != t || in.dst != f.Dst || in.src != f.Src || in.auth != f.Auth {
		in.routes, in.src, in.auth, in.dst = t, f.Src, f.Auth, f.Dst
		in.out, in.relation = l.linkFor(t, f)
		in.valid = true
	}
	out := in.out
	switch {
	case out == nil:
		return errNoRoute
	case !decideForward(in.relation, f.Handle):
		return errRefused
	}
	switch out.q.hold(f, l) {
	case full:
		l.refused.Add(1)
		l.note(f, "a queue is full")
		return errBusy
	case closedQueue:
		return errGone
	}
	if n := len(in.held); n == 0 || in.held[n-1] != out {
		in.held = append(in.held, out)
	}
	return nil
}

// way returns the link toward the frame's destination, and what its source is
// to it.
func (l *Link) linkFor(t *routes, f *core.Frame) (*Link, Relation) {
	var out *Link
	if c := t.find(f.Dst); c != nil {
		out = c.link
	} else if !l.parent {
		// Unknown: up. What comes from above and is not known here is not
		// there at all.
		out = t.parent
	}
	if out == l {
		out = nil // its peer should have known
	}
	switch {
	case out == nil:
		return nil, RelationStranger
	case l.parent:
		return out, RelationAncestor
	case out == t.parent:
		return out, RelationDescendant
	}
	rel := t.sideways(f.Src, f.Dst)
	if f.Auth != f.Src {
		rel = weaker(rel, t.sideways(f.Auth, f.Dst))
	}
	if rel == RelationStranger || l.pairUp(pair{f.Src, f.Dst}) {
		return out, rel
	}
	return nil, RelationStranger // gone meanwhile, or beyond the quota
}

// pairUp sees to it that each of the two learns of the other's loss. It
// reports false if one of them is lost already.
func (l *Link) pairUp(p pair) bool {
	if _, ok := l.input.pairs[p]; ok {
		return true
	}
	ok := false
	l.r.do(func() { ok = l.r.mux.addPair(l, p) })
	if ok {
		if len(l.input.pairs) >= l.r.limits.Pairs {
			clear(l.input.pairs) // of contexts that left, mostly
		}
		l.input.pairs[p] = struct{}{}
	}
	return ok
}

// forgery counts a frame whose source or authority is not behind the link. It
// goes no further.
func (l *Link) forgery(f *core.Frame) {
	defer f.Release()
	if l.Err() != nil || l.parent && l.r.routes.Load().parent == nil {
		return // the way back was withdrawn with the link
	}
	l.forged.Add(1)
	l.violation(f, "its source or authority is not behind the link it came from")
}

// violation counts what an honest peer sends rarely, by bad luck in time. The
// parent may do anything.
func (l *Link) violation(f *core.Frame, why string) {
	l.refused.Add(1)
	l.note(f, why)
	if l.input.violating++; l.input.violating > l.r.limits.Violations && !l.parent {
		l.cutOff("too many frames with a false identity or without authority")
	}
}

// note logs a refused frame, once per second and link.
func (l *Link) note(f *core.Frame, why string) {
	in := &l.input
	in.notes++
	now := time.Now()
	if now.Sub(in.lastNote) < time.Second {
		return
	}
	l.r.log.Warn("a frame was refused", "context", l.r.nameOf(l.peer), "link", l.peer, "why", why, "src", f.Src, "auth", f.Auth,
		"dst", f.Dst, "handle", f.Handle, "refused", in.notes)
	in.lastNote, in.notes = now, 0
}
