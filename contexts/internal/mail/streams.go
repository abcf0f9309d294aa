package mail

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/items"
	"github.com/mitosis-go/mitosis/contexts/internal/tree"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// An Address names a mailbox of some context.
type Address struct {
	To core.ID
	ID ID
}

// Streams lead from this context to the mailboxes of others. The zero value has none.
type Streams struct {
	mu  sync.Mutex
	all map[Address]*Stream
}

// Stream leads to one mailbox. All senders of this context share it. It ends with the
// mailbox.
type Stream struct {
	// Immutable.
	in      *Streams
	address Address
	tasks   *tree.Tasks
	open    func(ctx context.Context) (*router.Stream, error)

	// Capacity 1. The goroutine that has sent into it owns the fields below, until it
	// receives.
	turn chan struct{}
	s    *router.Stream // nil: not opened yet
	err  error          // the stream has ended
}

// Get returns the stream to a mailbox. Where there is none, it makes one, which is opened
// by open when the first value is sent. Its goroutines are of tasks.
func (t *Streams) Get(to Address, tasks *tree.Tasks, open func(ctx context.Context) (*router.Stream, error)) *Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.all[to]
	if m == nil {
		m = &Stream{in: t, address: to, tasks: tasks, open: open, turn: make(chan struct{}, 1)}
		if t.all == nil {
			t.all = make(map[Address]*Stream)
		}
		t.all[to] = m
	}
	return m
}

// Send sends a value, encoded.
func (m *Stream) Send(ctx context.Context, value []byte) error {
	item := items.Append(nil, items.Value, value)
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := m.openStream(ctx); err != nil {
		m.release()
		return err
	}
	n, err := m.write(ctx, item)
	if n > 0 && n < len(item) && errors.Is(err, os.ErrDeadlineExceeded) {
		// An item that has begun has to be completed. The caller does not wait for it.
		rest := bytes.Clone(item[n:])
		m.tasks.Go(func() {
			_, _ = m.s.Write(rest)
			m.release()
		})
		return context.Cause(ctx)
	}
	m.release()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}

func (m *Stream) release() { <-m.turn }

// openStream opens the stream where it is not open. If that fails, other than because
// the caller's time is over, the stream has ended.
func (m *Stream) openStream(ctx context.Context) error {
	if m.err != nil || m.s != nil {
		return m.err
	}
	s, err := m.open(ctx)
	if err == nil {
		stop := context.AfterFunc(ctx, func() { s.Reset(context.Cause(ctx)) })
		_, err = io.ReadFull(s, make([]byte, 1))
		if !stop() {
			err = context.Cause(ctx)
		}
		if err != nil {
			s.Close()
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		m.err = items.Unexpected(err)
		m.forget()
		return m.err
	}
	m.s = s
	m.tasks.Go(func() { // until the mailbox, its context or this one ends
		<-m.s.Done()
		m.turn <- struct{}{}
		defer m.release()
		_, m.err = m.s.Write(nil)
		m.s.Close()
		m.forget()
	})
	return nil
}

func (m *Stream) forget() {
	m.in.mu.Lock()
	defer m.in.mu.Unlock()
	delete(m.in.all, m.address)
}

// write is Write of the stream, bounded by ctx.
func (m *Stream) write(ctx context.Context, b []byte) (int, error) {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = m.s.SetWriteDeadline(time.Unix(1, 0))
	})
	n, err := m.s.Write(b)
	if !stop() {
		<-fired
		_ = m.s.SetWriteDeadline(time.Time{})
	}
	return n, err
}
