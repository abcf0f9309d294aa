package contexts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/items"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// A Sender sends values to a mailbox; see [NewMailbox]. It is a value like an
// address: it may be copied, used by any number of goroutines, and passed on in
// arguments, results and mails. There is nothing to be closed. The zero Sender
// leads nowhere.
type Sender[T any] struct {
	to *Node
	id mailboxID
}

// Node returns the context in which the mailbox is; nil for the zero Sender.
func (s Sender[T]) Node() *Node { return s.to }

// Send sends a value. It waits, until ctx ends, while more is under way than the
// mailbox and the window of the stream to it take. That it returns nil does not
// mean that the value has been received: what is under way is lost when either
// context, a hop between them, or the mailbox ends, and the next Send tells. The
// values that one context sends arrive in order, and beside its calls and
// results, which may overtake them.
//
// The error is an *Error: [ErrClosed] where the mailbox is closed, [ErrGone]
// where its context is lost, [ErrRefused] where it may not be
// addressed from here, [ErrTooLarge], or the cause of ctx, after which the value
// may still arrive.
func (s Sender[T]) Send(ctx context.Context, v T) error {
	fail := func(err error) error {
		return &Error{Op: "send", Path: s.to.String(), Err: err}
	}
	if s.to == nil || s.to.self == nil {
		return fail(errOtherTree)
	}
	if ctx.Err() != nil {
		return fail(context.Cause(ctx))
	}
	l := s.to.self
	if err := l.offer(s.to.id, types.VisitorOf(reflect.TypeFor[T]()), &v); err != nil {
		return fail(fmt.Errorf("the value cannot travel: %w", err))
	}
	b, err := core.Marshal(v)
	if err != nil {
		return fail(err)
	}
	if len(b) > maxMail {
		return fail(core.ErrTooLarge)
	}
	if err := l.mailLine(s.to, s.id).send(ctx, items.Append(nil, items.Value, b)); err != nil {
		return fail(err)
	}
	return nil
}

// wireSender is how a Sender travels.
type wireSender struct {
	_    struct{} `cbor:",toarray"`
	Node *Node
	ID   mailboxID
}

// MarshalCBOR implements cbor.Marshaler.
func (s Sender[T]) MarshalCBOR() ([]byte, error) {
	return core.Marshal(wireSender{Node: s.to, ID: s.id})
}

// UnmarshalCBOR implements cbor.Unmarshaler. The sender is bound to the local
// context by whoever decodes the message.
func (s *Sender[T]) UnmarshalCBOR(b []byte) error {
	var w wireSender
	if err := core.Unmarshal(b, &w); err != nil {
		return err
	}
	*s = Sender[T]{to: w.Node, id: w.ID}
	return nil
}

// sender is what every Sender[T] is: a value that leads to a node, and takes values of
// a type.
type sender interface {
	Node() *Node
	takes() reflect.Type
}

func (s Sender[T]) takes() reflect.Type { return reflect.TypeFor[T]() }

// takenBySender returns the type of the values that a Sender takes, and nil if t is no
// Sender. Pointers to one are pointers.
func takenBySender(t reflect.Type) reflect.Type {
	if t.Kind() != reflect.Struct || !t.Implements(reflect.TypeFor[sender]()) {
		return nil
	}
	return reflect.Zero(t).Interface().(sender).takes()
}

// nodeOfSender returns the node to which a Sender leads.
func nodeOfSender(v reflect.Value) *Node { return v.Interface().(sender).Node() }

// lineKey names a mailbox of some context.
type lineKey struct {
	to core.ID
	id mailboxID
}

// mailLine is the stream from this context to a mailbox, which all senders here
// share. It ends with the mailbox.
type mailLine struct {
	// Immutable.
	to  *Node
	key lineKey

	// Capacity 1. Who has sent into it owns what is below, until it receives.
	turn chan struct{}
	s    *router.Stream // nil: not opened yet
	err  error          // the line has ended
}

// mailLine returns the line to a mailbox.
func (l *local) mailLine(to *Node, id mailboxID) *mailLine {
	t := &l.mailboxes
	t.mu.Lock()
	defer t.mu.Unlock()
	key := lineKey{to.id, id}
	line := t.lines[key]
	if line == nil {
		line = &mailLine{to: to, key: key, turn: make(chan struct{}, 1)}
		if t.lines == nil {
			t.lines = make(map[lineKey]*mailLine)
		}
		t.lines[key] = line
	}
	return line
}

// send writes an item.
func (m *mailLine) send(ctx context.Context, item []byte) error {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := m.open(ctx); err != nil {
		m.release()
		return err
	}
	n, err := m.write(ctx, item)
	if n > 0 && n < len(item) && errors.Is(err, os.ErrDeadlineExceeded) {
		// What has begun has to be completed. The caller does not wait for it.
		rest := bytes.Clone(item[n:])
		m.to.self.Tasks.Go(func() {
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

func (m *mailLine) release() { <-m.turn }

// open opens the stream where there is none. If that fails, other than because
// the caller's time is over, the line has ended.
func (m *mailLine) open(ctx context.Context) error {
	if m.err != nil || m.s != nil {
		return m.err
	}
	s, err := openStream(ctx, mailConn.e, mailConn.nodes, m.to, &m.key.id)
	if err != nil {
		err = reasonWithoutCall(err)
	} else {
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
	m.to.self.Tasks.Go(func() { // until the mailbox, its context or this one ends
		<-m.s.Done()
		m.turn <- struct{}{}
		defer m.release()
		_, m.err = m.s.Write(nil)
		m.s.Close()
		m.forget()
	})
	return nil
}

func (m *mailLine) forget() {
	t := &m.to.self.mailboxes
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.lines, m.key)
}

// write is Write of the stream, bounded by ctx.
func (m *mailLine) write(ctx context.Context, b []byte) (int, error) {
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
