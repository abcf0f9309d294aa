package router

import (
	"context"
	"sync"

	"github.com/mitosis-go/mitosis/core"
)

// transfer is a split message at its sender. It outlives its Send until the receiver has
// acknowledged all of it. If it is refused on the way, the goroutine that waits for the answer
// has to be told, and so has the receiver if the message itself is an answer.
type transfer struct {
	r      *Router
	dst    core.ID
	handle core.Handle
	target core.Handle // where the message goes
	reply  core.Handle // where the answer to it is awaited
	out    sender
	dead   chan struct{} // closed when it is given up

	size uint64

	mu      sync.Mutex
	sending bool // Send has not returned: it reports the error
	err     error
}

// transfers finds the transfer of a split call, so that a cancel follows it in the same
// flow.
type transfers struct {
	mu sync.Mutex
	m  map[core.Handle]*transfer // by reply
}

// sendSplit sends a message in many frames.
func (r *Router) sendSplit(ctx context.Context, l *Link, dst core.ID, h, reply core.Handle, flags core.Flags, body []byte) error {
	t := &transfer{
		r: r, dst: dst, handle: r.endpoints.handle(), target: h, reply: reply,
		dead: make(chan struct{}), size: uint64(len(body)), sending: true,
	}
	t.out.init(&r.sendBudget, min(messageWindow, uint64(len(body))))
	r.endpoints.add(t.handle, t)
	if reply != core.HandleNone {
		r.transfers.mu.Lock()
		if r.transfers.m == nil {
			r.transfers.m = make(map[core.Handle]*transfer)
		}
		r.transfers.m[reply] = t
		r.transfers.mu.Unlock()
	}
	// A loss before the registration shows here, or at the queue.
	if _, err := r.linkTo(dst); err != nil {
		t.release()
		return err
	}
	err := t.sendFrames(ctx, l, flags, body)
	t.mu.Lock()
	t.sending = false
	if t.err != nil {
		err = t.err
	}
	t.mu.Unlock()
	switch {
	case err != nil:
		t.abort(l, err)
		t.release()
	case t.out.arrived() == t.size:
		t.release()
	}
	return err
}

// sendFrames queues all frames.
func (t *transfer) sendFrames(ctx context.Context, l *Link, flags core.Flags, body []byte) error {
	h := core.Header{Dst: t.dst, Src: t.r.self, Auth: t.r.self, Handle: t.target, Reply: t.handle, Flags: flags | core.First | core.More}
	head := core.AppendUint(core.AppendUint(make([]byte, 0, 18), uint64(len(body))), uint64(t.reply))
	for len(body) > 0 {
		n := t.out.acquire(min(len(body), core.MaxBody-len(head)), ctx.Done(), t.dead)
		if n == 0 {
			return context.Cause(ctx) // nil if t.err has the reason
		}
		f := core.NewFrame(len(head) + n)
		copy(f.Body, head)
		copy(f.Body[len(head):], body[:n])
		body = body[n:]
		f.Header = h
		if len(body) == 0 {
			f.Flags &^= core.More
			if f.Flags&core.First != 0 {
				f.Flags |= core.More // the two go together
			}
		}
		res := l.putLocal(f, ctx.Done(), t.dead)
		if err := t.r.putResult(ctx, l, f, res); err != nil || res != taken {
			return err
		}
		h.Handle, h.Flags, head = core.HandleMore, core.More, nil
	}
	return nil
}

// abort tells the receiver that nothing more comes. If an endpoint there waits for the message,
// it gets the error.
func (t *transfer) abort(l *Link, err error) {
	self := t.r.self
	body := core.EncodeErrorWithin(err, core.MaxBody)
	frames := []*core.Frame{newFrame(core.Header{Dst: t.dst, Src: self, Auth: self, Handle: core.HandleMore, Reply: t.handle, Flags: core.Dead}, body)}
	if t.target >= core.FirstDynamic {
		frames = append(frames, newFrame(core.Header{Dst: t.dst, Src: self, Auth: self, Handle: t.target, Flags: core.Dead}, body))
	}
	for _, f := range frames {
		if l.q.put(f, nil) != taken {
			f.Release()
		}
	}
}

// release forgets the transfer, and gives its borrowed bytes back.
func (t *transfer) release() {
	r := t.r
	r.endpoints.remove(t.handle)
	if t.reply != core.HandleNone {
		r.transfers.mu.Lock()
		if r.transfers.m[t.reply] == t {
			delete(r.transfers.m, t.reply)
		}
		r.transfers.mu.Unlock()
	}
	t.out.release()
}

func (t *transfer) far() core.ID { return t.dst }

// frame takes credit, or the refusal of the receiver.
func (t *transfer) frame(f *core.Frame, l *Link) *refusal {
	defer f.Release()
	switch {
	case f.Flags&core.Dead != 0:
		failed := core.DecodeLinkError(f.Body)
		t.lost(failed.Err)
		if failed.ByRouter {
			// The receiver may not know that it was refused.
			t.abort(l, failed.Err)
		}
	case f.Flags&core.Credit != 0:
		if !t.out.grant(f.Body) {
			l.violation(f, "credit that makes no sense")
			return nil
		}
		t.mu.Lock()
		sent := !t.sending
		t.mu.Unlock()
		// While Send is under way it checks that itself at its end.
		if sent && t.out.arrived() == t.size {
			t.release()
		}
	}
	return nil
}

// lost fails the transfer. While Send is under way, Send returns the error. Later the error is
// delivered as the answer.
func (t *transfer) lost(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return
	}
	t.err = err
	close(t.dead)
	if t.sending {
		return
	}
	t.release()
	if t.reply != core.HandleNone {
		t.r.endpoints.complete(Message{Header: core.Header{Dst: t.r.self, Src: t.dst, Handle: t.reply}, Err: err})
	}
}

// cancel sends a cancel in the flow of a split call whose transfer is under way. It reports
// false if there is none.
func (s *transfers) cancel(r *Router, l *Link, dst core.ID, reply core.Handle) bool {
	s.mu.Lock()
	t := s.m[reply]
	s.mu.Unlock()
	if t == nil || t.dst != dst {
		return false
	}
	body := core.AppendUint(nil, uint64(reply))
	f := newFrame(core.Header{Dst: dst, Src: r.self, Auth: r.self, Handle: core.HandleMore, Reply: t.handle, Flags: core.Cancel}, body)
	if l.q.put(f, nil) != taken {
		f.Release()
	}
	return true
}
