package router

import "github.com/mitosis-go/mitosis/core"

// Reply is a handle at which one answer from one context is awaited.
type Reply struct {
	c chan Message // capacity 1; deliverLocked sends, the owner receives

	// Set by NewReply, until Close.
	r      *Router
	dst    core.ID
	handle core.Handle
}

// NewReply makes a handle at which only dst can answer. Frames of others to it are refused. If
// dst is lost, the answer is a Message whose Err matches core.ErrGone. The caller closes the
// Reply, whether an answer has come or not.
func (r *Router) NewReply(dst core.ID) *Reply {
	p, _ := r.replies.Get().(*Reply)
	if p == nil {
		p = &Reply{c: make(chan Message, 1)}
	}
	p.r, p.dst, p.handle = r, dst, r.endpoints.handle()
	r.endpoints.add(p.handle, p)
	if r.closing.Load() {
		// Close may have told all waiters already.
		s := r.endpoints.shard(p.handle)
		s.mu.Lock()
		p.deliverLocked(s, Message{Err: &core.Error{Kind: core.KindClosed}})
		s.mu.Unlock()
	}
	return p
}

// Handle returns the handle, which is passed to Send as reply.
func (p *Reply) Handle() core.Handle { return p.handle }

// C returns the channel on which the answer comes. It must not be used after
// Close.
func (p *Reply) C() <-chan Message { return p.c }

// Close gives the handle up. A later answer is dropped.
func (p *Reply) Close() {
	s := p.r.endpoints.shard(p.handle)
	s.mu.Lock()
	delete(s.m, p.handle)
	s.mu.Unlock()
	select {
	case <-p.c:
	default:
	}
	r := p.r
	p.r = nil
	r.replies.Put(p)
}

// deliverLocked sends the one answer, and removes the handle. The caller holds the lock of its
// shard.
func (p *Reply) deliverLocked(s *endpointShard, m Message) {
	if _, ok := s.m[p.handle]; !ok {
		return
	}
	delete(s.m, p.handle)
	p.c <- m
}

// replyMessage makes an answer of a frame, which it takes over.
func replyMessage(f *core.Frame) Message {
	m := Message{Header: f.Header}
	if f.Flags&core.Dead != 0 {
		m.Err = core.DecodeError(f.Body)
		f.Release()
	} else {
		m.Body = f.TakeBody()
	}
	return m
}

func (p *Reply) far() core.ID { return p.dst }
func (p *Reply) lost(error)   {}

// frame is not called: a Reply is delivered under the lock instead.
func (p *Reply) frame(f *core.Frame, _ *Link) *refusal { f.Release(); return nil }
