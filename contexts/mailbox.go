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

// A Receiver is the end of a mailbox where values arrive. It stays in the
// context that made it; what travels is its [Sender].
type Receiver[T any] struct {
	box *mail.Box[*Node]
	c   chan Mail[T]
}

// Mail is a value that arrived.
type Mail[T any] struct {
	Value T
	From  *Node // who sent it, as the routers know, whatever the value says
}

// NewMailbox makes a mailbox in the context self, which must be the local one
// ([Start], [Self]). It panics if it is not, if size is below 1, and if values
// of type T cannot travel; see [NewFunc].
//
// The mailbox holds size values. Beyond that, each context that sends to it may
// have as much under way as the window of a stream, 256 KiB while the receiver
// is slow; then its senders wait. A value is at most 1 MiB, encoded.
//
// Whoever has the Sender may send, whatever its place in the tree: treat what
// arrives as input from the hosts that it was passed to. Passing a Sender on lets
// its receiver address the mailbox's context, as passing that [Node] does.
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

// C returns the channel at which values arrive, in the order in which each
// context sent them; to wait for one of several mailboxes is a select. After
// Close, or when the context ends, what the mailbox holds can still be received,
// and then the channel is closed.
//
// A sender that is lost leaves what it sent before, as far as that has arrived.
// Nothing in the channel tells of its loss: Done of Mail.From does.
func (r *Receiver[T]) C() <-chan Mail[T] { return r.c }

// Close closes the mailbox. Its senders get [ErrClosed] from then on; what they
// had under way is lost.
func (r *Receiver[T]) Close() error {
	r.box.Close()
	return nil
}

// mailConn takes the values that a context sends to a mailbox here. It is open
// to all, because the number of a mailbox is a secret of those who may send.
var mailConn = NewConnFunc("mitosis.mail", func(ctx context.Context, conn net.Conn, id mail.ID) error {
	c := callOf(ctx)
	return c.l.mailboxes.Serve(ctx, conn.(*router.Stream), c.m.Src, id, func() *Node { return c.l.node(c.m.Src) })
}, AllowDescendants)

// A Sender sends values to a mailbox; see [NewMailbox]. It is a value like an
// address: it may be copied, used by any number of goroutines, and passed on in
// arguments, results and mails. There is nothing to be closed. The zero Sender
// leads nowhere.
type Sender[T any] struct {
	to *Node
	id mail.ID
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

// wireSender is how a Sender travels.
type wireSender struct {
	_    struct{} `cbor:",toarray"`
	Node *Node
	ID   mail.ID
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
