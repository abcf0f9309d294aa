package contexts

import (
	"context"
	"fmt"
	"net"
	"reflect"

	"github.com/mitosis-go/mitosis/contexts/internal/mail"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// A Receiver is the end of a mailbox at which values arrive. It stays in the context that
// made it. Its [Sender] can be passed on.
type Receiver[T any] struct {
	box *mail.Box[*Node]
	c   chan Mail[T]
}

// Mail is a value that arrived.
type Mail[T any] struct {
	Value T
	From  *Node // the sending context, as the routers know it, whatever the value says
}

// NewMailbox makes a mailbox in the context self, which must be the local one: see
// [Start] and [Self]. It panics if self is another one, if size is below 1, and if values
// of type T cannot travel (see [NewFunc]).
//
// The mailbox holds size values. Each sending context may have more values under way, up
// to the window of a stream: 256 KiB while the receiver is slow. Then its senders wait. A
// value has at most 1 MiB, encoded.
//
// A context that has the Sender may send, wherever it is in the tree. Treat the values as
// input from the hosts to which the Sender was passed. A context to which a Sender is
// passed may talk to the mailbox's context, as if it was passed that [Node].
func NewMailbox[T any](self *Node, size int) (*Receiver[T], Sender[T]) {
	if self == nil || self.self == nil || self.id != self.self.id {
		panic("contexts: NewMailbox: a mailbox can only be made in the local context")
	}
	if size < 1 {
		panic(fmt.Sprintf("contexts: NewMailbox: a mailbox for %d values", size))
	}
	if _, err := types.Describe(reflect.TypeFor[T]()); err != nil {
		panic(fmt.Sprintf("contexts: NewMailbox: %v", err))
	}
	l := self.self
	nodes := types.VisitorOf(reflect.TypeFor[T]())
	c := make(chan Mail[T], size)
	r := &Receiver[T]{c: c}
	r.box = l.mailboxes.Add(l.Ctx, func(ctx context.Context, from *Node, item []byte) error {
		m := Mail[T]{From: from}
		if err := core.Unmarshal(item, &m.Value); err != nil {
			return &Error{Op: "receive", Kind: core.KindProtocol, Err: err}
		}
		l.bindNodes(nodes, reflect.ValueOf(&m.Value).Elem())
		select {
		case c <- m:
			return nil
		case <-r.box.Done():
			return mail.ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}, func() { close(c) })
	return r, Sender[T]{to: self, id: r.box.ID()}
}

// C returns the channel at which values arrive. The values of one context come in the
// order of their sending. Use select to wait for several mailboxes.
//
// After Close, or when the context ends, the values that the mailbox holds can still be
// received. Then the channel is closed.
//
// If a sender is lost, the values that have arrived from it stay. The channel does not
// tell of the loss: use Done of Mail.From.
func (r *Receiver[T]) C() <-chan Mail[T] { return r.c }

// Close closes the mailbox. From then on its senders get [ErrClosed]. Values that are under
// way are lost.
func (r *Receiver[T]) Close() error {
	r.box.Close()
	return nil
}

// mailConn takes the values that a context sends to a mailbox here. All contexts may call
// it: the number of a mailbox is a secret of those that may send.
var mailConn = NewConnFunc("mitosis.mail", func(ctx context.Context, conn net.Conn, id mail.ID) error {
	c := callOf(ctx)
	return c.l.mailboxes.Serve(ctx, conn.(*router.Stream), c.m.Src, id, func() *Node { return c.l.node(c.m.Src) })
}, AllowDescendants)

// A Sender sends values to a mailbox; see [NewMailbox]. It is like an address: it may be
// copied, used by any number of goroutines, and passed on in arguments, results and mails.
// It need not be closed. The zero Sender leads to no mailbox.
type Sender[T any] struct {
	to *Node
	id mail.ID
}

// Node returns the context in which the mailbox is; nil for the zero Sender.
func (s Sender[T]) Node() *Node { return s.to }

// Send sends a value. While the mailbox is full, and the window of the stream to it, Send
// waits for room or for the end of ctx.
//
// If Send returns nil, the value is under way. It is lost if the mailbox, one of the two
// contexts, or a hop between them ends; the next Send then fails. The values of one
// context arrive in the order of their sending. Its calls and results may overtake them.
//
// The error is an *Error. It matches [ErrClosed] if the mailbox is closed, [ErrGone] if its
// context is lost, [ErrRefused] if this context may not talk to that one, and
// [ErrTooLarge] if the value is. If it is the cause of ctx, the value may still arrive.
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
	if err := l.grantNodes(s.to.id, types.VisitorOf(reflect.TypeFor[T]()), &v); err != nil {
		return fail(fmt.Errorf("the value cannot travel: %w", err))
	}
	b, err := core.Marshal(v)
	if err != nil {
		return fail(err)
	}
	if len(b) > mail.MaxItem {
		return fail(core.ErrTooLarge)
	}
	stream := l.mailStreams.Get(mail.Address{To: s.to.id, ID: s.id}, &l.Tasks, func(ctx context.Context) (*router.Stream, error) {
		stream, err := openStream(ctx, mailConn.e, mailConn.nodes, s.to, &s.id)
		if err != nil {
			err = reasonWithoutCall(err)
		}
		return stream, err
	})
	if err := stream.Send(ctx, b); err != nil {
		return fail(err)
	}
	return nil
}

// wireSender is a Sender as it travels.
type wireSender struct {
	_    struct{} `cbor:",toarray"`
	Node *Node
	ID   mail.ID
}

// MarshalCBOR implements cbor.Marshaler.
func (s Sender[T]) MarshalCBOR() ([]byte, error) {
	return core.Marshal(wireSender{Node: s.to, ID: s.id})
}

// UnmarshalCBOR implements cbor.Unmarshaler. The decoder of the message binds the sender
// to the local context: see local.bindNodes.
func (s *Sender[T]) UnmarshalCBOR(b []byte) error {
	var w wireSender
	if err := core.Unmarshal(b, &w); err != nil {
		return err
	}
	*s = Sender[T]{to: w.Node, id: w.ID}
	return nil
}

// sender is implemented by every Sender[T]: it leads to a node, and takes values of one
// type.
type sender interface {
	Node() *Node
	takes() reflect.Type
}

func (s Sender[T]) takes() reflect.Type { return reflect.TypeFor[T]() }

// takenBySender returns the type of the values that Senders of type t take, and nil if t is
// no Sender. A pointer to a Sender is none.
func takenBySender(t reflect.Type) reflect.Type {
	if t.Kind() != reflect.Struct || !t.Implements(reflect.TypeFor[sender]()) {
		return nil
	}
	return reflect.Zero(t).Interface().(sender).takes()
}

// nodeOfSender returns the node to which a Sender leads.
func nodeOfSender(v reflect.Value) *Node { return v.Interface().(sender).Node() }
