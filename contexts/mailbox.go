package contexts

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"sync"

	"github.com/mitosis-go/mitosis/contexts/internal/items"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// A Receiver is the end of a mailbox where values arrive. It stays in the
// context that made it; what travels is its [Sender].
type Receiver[T any] struct {
	box *mailbox
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
	r.box = l.mailboxes.add(l.Ctx, func(ctx context.Context, from *Node, item []byte) error {
		m := Mail[T]{From: from}
		if err := core.Unmarshal(item, &m.Value); err != nil {
			return &Error{Op: "receive", Kind: core.KindProtocol, Err: err}
		}
		l.bind(nodes, reflect.ValueOf(&m.Value).Elem())
		select {
		case c <- m:
			return nil
		case <-r.box.done:
			return errMailboxClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}, func() { close(c) })
	return r, Sender[T]{to: self, id: r.box.id}
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
	r.box.in.close(r.box)
	return nil
}

// errMailboxClosed is also what those are told who never had the Sender.
var errMailboxClosed = &Error{Op: "send", Kind: core.KindClosed, Err: errors.New("there is no such mailbox any more")}

// mailboxID names a mailbox, and is what a context must have been told to send
// to it: nobody guesses it.
type mailboxID [16]byte

// mailbox is what of a mailbox does not depend on the type of the values.
type mailbox struct {
	// Immutable after add.
	in      *mailboxes
	id      mailboxID
	deliver func(ctx context.Context, from *Node, item []byte) error
	ended   func() // nothing is delivered any more
	stop    func() bool
	done    chan struct{}

	large chan struct{} // capacity largeMail; one sent for each large value that is being put together
	wg    sync.WaitGroup

	// Guarded by mailboxes.mu.
	closed  bool
	senders map[core.ID]*router.Stream
}

// The bounds of a mail. Larger data is for streams. What is below smallMail is
// covered by the credit of its stream; of larger values a mailbox puts together
// no more than largeMail at once, or many hostile senders could fill the memory.
const (
	maxMail   = 1 << 20
	smallMail = 64 << 10
	largeMail = 16
)

// mailboxes are those of a context, with what it sends to others'.
type mailboxes struct {
	mu    sync.Mutex
	all   map[mailboxID]*mailbox
	lines map[lineKey]*mailLine
}

// add makes a mailbox that ends with ctx, if it is not closed before.
func (t *mailboxes) add(ctx context.Context, deliver func(context.Context, *Node, []byte) error, ended func()) *mailbox {
	b := &mailbox{
		in: t, deliver: deliver, ended: ended,
		done: make(chan struct{}), large: make(chan struct{}, largeMail), senders: make(map[core.ID]*router.Stream),
	}
	_, _ = rand.Read(b.id[:]) // never fails
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[mailboxID]*mailbox)
	}
	t.all[b.id] = b
	b.stop = context.AfterFunc(ctx, func() { t.close(b) })
	return b
}

// close ends a mailbox, once, and waits until nothing is delivered any more.
func (t *mailboxes) close(b *mailbox) {
	t.mu.Lock()
	first := !b.closed
	b.closed = true
	delete(t.all, b.id)
	if first {
		close(b.done)
	}
	for _, s := range b.senders {
		s.Reset(errMailboxClosed)
	}
	t.mu.Unlock()
	b.wg.Wait()
	if first {
		b.stop()
		b.ended()
	}
}

// join makes a stream that of a context's senders. There is one for each
// context: a new one takes the place of the old.
func (t *mailboxes) join(id mailboxID, src core.ID, s *router.Stream) (*mailbox, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.all[id]
	if b == nil {
		return nil, errMailboxClosed
	}
	if old := b.senders[src]; old != nil {
		old.Reset(core.ErrProtocol)
	}
	b.senders[src] = s
	b.wg.Add(1)
	return b, nil
}

func (t *mailboxes) leave(b *mailbox, src core.ID, s *router.Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.senders[src] == s {
		delete(b.senders, src)
	}
	b.wg.Done()
}

// mailboxThere is what the stream to a mailbox begins with. The sender waits for
// it, or the first values to a closed mailbox would seem to be under way.
const mailboxThere = 1

// mailConn takes the values that a context sends to a mailbox here. It is open
// to all, because the number of a mailbox is a secret of those who may send.
var mailConn = NewConnFunc("mitosis.mail", func(ctx context.Context, conn net.Conn, id mailboxID) error {
	call := callOf(ctx)
	t, src, s := &call.l.mailboxes, call.m.Src, conn.(*router.Stream)
	b, err := t.join(id, src, s)
	if err != nil {
		return err
	}
	defer t.leave(b, src, s)
	if _, err := s.Write([]byte{mailboxThere}); err != nil {
		return err
	}
	from := call.l.node(src)
	for r := bufio.NewReader(s); ; {
		if err := b.receive(ctx, r, from); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}, AllowDescendants)

// receive takes one value from a stream.
func (b *mailbox) receive(ctx context.Context, r *bufio.Reader, from *Node) error {
	k, n, err := items.ReadHead(r, maxMail)
	if err != nil {
		return err
	}
	if n > smallMail {
		select {
		case b.large <- struct{}{}:
			defer func() { <-b.large }()
		case <-b.done:
			return errMailboxClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	item, err := items.ReadBody(r, n)
	if err != nil {
		return err
	}
	if k != items.Value {
		return core.ErrProtocol
	}
	return b.deliver(ctx, from, item)
}
