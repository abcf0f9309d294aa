package mail

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"

	"github.com/mitosis-go/mitosis/contexts/internal/items"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// ErrClosed is the error of senders to a mailbox that is closed, or that never was.
var ErrClosed = &core.Error{Op: "send", Kind: core.KindClosed, Err: errors.New("there is no such mailbox any more")}

// An ID names a mailbox, and is a secret of those contexts that may send to it: nobody
// guesses it.
type ID [16]byte

// The bounds of an item. Larger data is for streams. Items below smallItem are covered by
// the credit of their stream. Of larger ones a mailbox puts together no more than
// largeItems at once, or many hostile senders could fill the memory.
const (
	MaxItem    = 1 << 20
	smallItem  = 64 << 10
	largeItems = 16
)

// present is the byte with which the stream to a mailbox begins. The sender waits for it,
// or the first values to a closed mailbox would seem to be under way.
const present = 1

// Boxes are the mailboxes of a context. N is the type by which a receiver knows the sending
// context. The zero value has none.
type Boxes[N any] struct {
	mu  sync.Mutex
	all map[ID]*Box[N]
}

// Box is a mailbox. It does not depend on the type of the values.
type Box[N any] struct {
	// Immutable after Add.
	in      *Boxes[N]
	id      ID
	deliver func(ctx context.Context, from N, item []byte) error
	ended   func() // nothing is delivered any more
	stop    func() bool
	done    chan struct{}

	large chan struct{} // capacity largeItems; one sent for each large item that is being put together
	wg    sync.WaitGroup

	// Guarded by Boxes.mu.
	closed  bool
	senders map[core.ID]*router.Stream
}

// Add makes a mailbox that ends with ctx, if it is not closed before. deliver is called
// for each item; ended is called once, behind the last of these calls.
func (t *Boxes[N]) Add(ctx context.Context, deliver func(ctx context.Context, from N, item []byte) error, ended func()) *Box[N] {
	b := &Box[N]{
		in: t, deliver: deliver, ended: ended,
		done: make(chan struct{}), large: make(chan struct{}, largeItems), senders: make(map[core.ID]*router.Stream),
	}
	_, _ = rand.Read(b.id[:]) // never fails
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[ID]*Box[N])
	}
	t.all[b.id] = b
	b.stop = context.AfterFunc(ctx, b.Close)
	return b
}

// ID returns the name of the mailbox.
func (b *Box[N]) ID() ID { return b.id }

// Done is closed when the mailbox is.
func (b *Box[N]) Done() <-chan struct{} { return b.done }

// Close ends the mailbox, once, and waits until nothing is delivered any more.
func (b *Box[N]) Close() {
	t := b.in
	t.mu.Lock()
	first := !b.closed
	b.closed = true
	delete(t.all, b.id)
	if first {
		close(b.done)
	}
	for _, s := range b.senders {
		s.Reset(ErrClosed)
	}
	t.mu.Unlock()
	b.wg.Wait()
	if first {
		b.stop()
		b.ended()
	}
}

// Serve takes the values that the context src sends to a mailbox on a stream, until the
// end of that. from is called once, if there is such a mailbox.
func (t *Boxes[N]) Serve(ctx context.Context, s *router.Stream, src core.ID, id ID, from func() N) error {
	b, err := t.join(id, src, s)
	if err != nil {
		return err
	}
	defer t.leave(b, src, s)
	if _, err := s.Write([]byte{present}); err != nil {
		return err
	}
	sender := from()
	for r := bufio.NewReader(s); ; {
		if err := b.receive(ctx, r, sender); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// join makes a stream that of a context's senders. There is one for each context: a new
// one takes the place of the old.
func (t *Boxes[N]) join(id ID, src core.ID, s *router.Stream) (*Box[N], error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.all[id]
	if b == nil {
		return nil, ErrClosed
	}
	if old := b.senders[src]; old != nil {
		old.Reset(core.ErrProtocol)
	}
	b.senders[src] = s
	b.wg.Add(1)
	return b, nil
}

func (t *Boxes[N]) leave(b *Box[N], src core.ID, s *router.Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.senders[src] == s {
		delete(b.senders, src)
	}
	b.wg.Done()
}

// receive takes one value from a stream.
func (b *Box[N]) receive(ctx context.Context, r *bufio.Reader, from N) error {
	k, n, err := items.ReadHead(r, MaxItem)
	if err != nil {
		return err
	}
	if n > smallItem {
		select {
		case b.large <- struct{}{}:
			defer func() { <-b.large }()
		case <-b.done:
			return ErrClosed
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
