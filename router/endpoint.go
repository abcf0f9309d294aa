package router

import (
	"sync"
	"sync/atomic"

	"github.com/mitosis-go/mitosis/core"
)

// endpoint is the user of a dynamic handle: a *Reply, a *Stream, or a *transfer. It is bound
// to one other context.
type endpoint interface {
	// far returns the other context.
	far() core.ID
	// frame takes over a frame from the other context, or returns why it does not. It
	// runs on a reader and does not wait.
	frame(f *core.Frame, l *Link) *refusal
	// lost is called when the other context, or the router, is gone.
	lost(err error)
}

// endpoints finds endpoints by handle. Handles are never used again: a late
// answer must not reach the wrong one.
type endpoints struct {
	next   atomic.Uint64
	shards [endpointShards]endpointShard
}

const endpointShards = 64

type endpointShard struct {
	mu sync.Mutex
	m  map[core.Handle]endpoint
	_  [40]byte // a cache line each
}

func (e *endpoints) init(first core.Handle) {
	e.next.Store(uint64(max(first, core.FirstDynamic)) - 1)
	for i := range e.shards {
		e.shards[i].m = make(map[core.Handle]endpoint)
	}
}

func (e *endpoints) handle() core.Handle { return core.Handle(e.next.Add(1)) }

func (e *endpoints) shard(h core.Handle) *endpointShard { return &e.shards[h%endpointShards] }

func (e *endpoints) add(h core.Handle, p endpoint) {
	s := e.shard(h)
	s.mu.Lock()
	s.m[h] = p
	s.mu.Unlock()
}

func (e *endpoints) remove(h core.Handle) {
	s := e.shard(h)
	s.mu.Lock()
	delete(s.m, h)
	s.mu.Unlock()
}

// toEndpoint takes a frame to the endpoint that it is addressed to. If that is gone it returns
// errClosed, and the caller still owns the frame.
func (r *Router) toEndpoint(f *core.Frame, l *Link) *refusal {
	s := r.endpoints.shard(f.Handle)
	s.mu.Lock()
	p := s.m[f.Handle]
	reply, isReply := p.(*Reply)
	switch {
	case p == nil:
		s.mu.Unlock()
		if l != nil && uint64(f.Handle) > r.endpoints.next.Load() {
			l.violation(f, "its handle was never given out")
		}
		return errClosed
	case p.far() != f.Src:
		s.mu.Unlock()
		if l != nil {
			l.forged.Add(1)
			l.violation(f, "it answers in the name of another context")
		}
		f.Release()
		return nil
	case isReply && f.Flags&core.First == 0:
		// Under the lock, because a closed Reply is used again.
		reply.deliverLocked(s, replyMessage(f))
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	if f.Flags&core.First != 0 {
		r.partials.start(f, l, Message{Header: f.Header, from: l})
		return nil
	}
	return p.frame(f, l)
}

// complete hands a message that came in several frames to its endpoint.
func (e *endpoints) complete(m Message) {
	s := e.shard(m.Handle)
	s.mu.Lock()
	p := s.m[m.Handle]
	if p == nil || p.far() != m.Src {
		s.mu.Unlock()
		return
	}
	if m.Err == nil && m.Flags&core.Dead != 0 {
		m.Err, m.Body = core.DecodeError(m.Body), nil
	}
	if reply, ok := p.(*Reply); ok {
		reply.deliverLocked(s, m)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if m.Err == nil {
		m.Err = &core.Error{Kind: core.KindProtocol}
	}
	p.lost(m.Err)
}

// lose ends all endpoints that are bound to lost contexts.
func (e *endpoints) lose(lost func(core.ID) bool, err error) {
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		var others []endpoint
		for _, p := range s.m {
			if !lost(p.far()) {
				continue
			}
			if reply, ok := p.(*Reply); ok {
				reply.deliverLocked(s, Message{Header: core.Header{Src: reply.dst, Handle: reply.handle}, Err: err})
			} else {
				others = append(others, p)
			}
		}
		s.mu.Unlock()
		for _, p := range others {
			p.lost(err)
		}
	}
}
