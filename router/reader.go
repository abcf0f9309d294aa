package router

import (
	"errors"
	"io"
	"runtime"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// reader is the state of readLoop between two frames.
type reader struct {
	// The last link that was looked up, valid for one version of the routes.
	routes    *routes
	src, auth core.ID
	dst       core.ID
	out       *Link
	relation  Relation // of src and auth to dst, where dst is another context
	valid     bool

	pairs map[pair]struct{} // pairs that the multiplexer knows already
	held  []*Link           // links whose frames flushHeld has to have written
	bulk  bool              // bulk has come since the reader yielded; see yields

	control   core.Meter
	violating int
	lastNote  time.Time
	notes     int // since lastNote
}

// pair is two contexts below different children.
type pair struct{ src, dst core.ID }

// readLoop takes frames in until the link fails. It waits only for the carrier and for the
// multiplexer, which itself waits for nothing.
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

// yields reports whether the reader should let other goroutines run after a frame: after a
// message for the local context among bulk. With bulk the reader goes on for long without
// waiting. The goroutine that the message wakes would only run when the reader waits, or
// when another processor happens to look for work. To yield once for each frame of bulk is
// enough, and without bulk nothing is gained.
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

// flushHeld has frames written that were forwarded since the last Read. So frames that came
// together go on together.
func (l *Link) flushHeld() {
	in := &l.input
	for _, out := range in.held {
		out.flush()
	}
	clear(in.held)
	in.held = in.held[:0]
}

// receive checks that a frame comes from the right link, and dispatches it.
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

// linkFor returns the link toward a frame's destination, nil if there is none, and the relation
// of the frame's source to its destination.
func (l *Link) linkFor(t *routes, f *core.Frame) (*Link, Relation) {
	var out *Link
	if c := t.find(f.Dst); c != nil {
		out = c.link
	} else if !l.parent {
		// An unknown destination is above. If the frame comes from above, it does
		// not exist.
		out = t.parent
	}
	if out == l {
		out = nil // the peer should not have sent it here
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

// pairUp notes two contexts, so that each learns of the other's loss. It reports false if one
// of them is lost already, or the quota is used up.
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

// forgery counts a frame whose source or authority is not behind the link, and drops it.
func (l *Link) forgery(f *core.Frame) {
	defer f.Release()
	if l.Err() != nil || l.parent && l.r.routes.Load().parent == nil {
		return // the route back was withdrawn with the link
	}
	l.forged.Add(1)
	l.violation(f, "its source or authority is not behind the link it came from")
}

// violation counts a frame that an honest peer sends rarely, by bad luck in time. It cuts off a
// child with too many. A parent is never cut off for it.
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
