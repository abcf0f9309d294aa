package contexts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/core"
)

// letter is a value for mailboxes. It also has a sender for the answer.
type letter struct {
	Text   string
	Answer contexts.Sender[string]
}

type sendOrder struct {
	To   contexts.Sender[letter]
	N    int
	Size int
}

var (
	// sendLetters sends numbered letters from the context where it is called.
	sendLetters = contexts.NewFunc("test.mail.send", func(ctx context.Context, o sendOrder) (struct{}, error) {
		for i := range o.N {
			if err := o.To.Send(ctx, letter{Text: fmt.Sprint(i, strings.Repeat(" ", o.Size))}); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	// answering makes a mailbox whose letters are answered, each by the
	// letter's own sender.
	answering = contexts.NewFunc("test.mail.answer", func(ctx context.Context, _ struct{}) (contexts.Sender[letter], error) {
		inbox, to := contexts.NewMailbox[letter](contexts.Self(ctx), 4)
		go func() {
			for m := range inbox.C() {
				_ = m.Value.Answer.Send(context.Background(), m.Value.Text+" from "+m.From.String())
			}
		}()
		return to, nil
	})
	// sendOne sends a letter and waits for the answer.
	sendOne = contexts.NewFunc("test.mail.one", func(ctx context.Context, to contexts.Sender[letter]) (string, error) {
		inbox, answer := contexts.NewMailbox[string](contexts.Self(ctx), 1)
		defer inbox.Close()
		if err := to.Send(ctx, letter{"hello", answer}); err != nil {
			return "", err
		}
		select {
		case m := <-inbox.C():
			return m.Value, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
)

func brief(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestMailArrivesInOrderAndNamesItsSender(t *testing.T) {
	noLeaks(t)
	self := start(t, nil)
	a := child(t, self)
	b := child(t, a)
	inbox, to := contexts.NewMailbox[letter](self, 2)
	other, _ := contexts.NewMailbox[string](self, 1)
	defer inbox.Close()
	defer other.Close()
	const each = 2000
	var senders sync.WaitGroup
	for _, n := range []*contexts.Node{self, a, b} {
		senders.Go(func() {
			if _, err := sendLetters.Call(t.Context(), n, sendOrder{To: to, N: each}); err != nil {
				t.Errorf("%v: %v", n, err)
			}
		})
	}
	next := map[core.ID]int{}
	for range 3 * each {
		select {
		case m := <-inbox.C():
			if want := fmt.Sprint(next[m.From.ID()], " "); strings.TrimSpace(m.Value.Text) != strings.TrimSpace(want) {
				t.Fatalf("%v sent %q, want %q", m.From, m.Value.Text, want)
			}
			next[m.From.ID()]++
		case <-other.C():
			t.Fatal("a letter came to another mailbox, want it in its own")
		case <-time.After(20 * time.Second):
			t.Fatalf("no letter came for 20 s; by sender %v have come, want %d each", next, each)
		}
	}
	senders.Wait()
	if next[self.ID()] != each || next[a.ID()] != each || next[b.ID()] != each {
		t.Errorf("by sender the letters were %v, want %d each", next, each)
	}
}

func TestSendersArePassedToThirdContexts(t *testing.T) {
	noLeaks(t)
	self := start(t, nil)
	a, b := child(t, self), child(t, self)
	to, err := answering.Call(t.Context(), a, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if to.Node().ID() != a.ID() {
		t.Errorf("the sender leads to %v, want %v", to.Node(), a)
	}
	// The master and the mailbox's own context may use the sender. A sibling may use it once it
	// was passed the sender. An answer to the sibling would need a grant as well.
	for _, from := range []*contexts.Node{self, a} {
		if got, err := sendOne.Call(brief(t, 20*time.Second), from, to); err != nil || got != "hello from "+from.String() {
			t.Errorf("a letter from %v was answered by %q, %v, want a hello with its path", from, got, err)
		}
	}
	if _, err := sendLetters.Call(t.Context(), b, sendOrder{To: to, N: 100}); err != nil {
		t.Errorf("letters from a sibling: %v, want no error", err)
	}
	_, back := contexts.NewMailbox[string](self, 1)
	var nowhere contexts.Sender[letter]
	if err := nowhere.Send(t.Context(), letter{Answer: back}); err == nil {
		t.Error("the zero Sender has sent a letter, want an error")
	}
}

func TestAFullMailboxHoldsItsSendersUp(t *testing.T) {
	noLeaks(t)
	self := start(t, nil)
	a := child(t, self)
	inbox, to := contexts.NewMailbox[letter](self, 3)
	defer inbox.Close()
	order := sendOrder{To: to, N: 1 << 20, Size: 1000}
	_, err := sendLetters.Call(brief(t, 500*time.Millisecond), a, order)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("sending to a full mailbox ended with %v, want %v", err, context.DeadlineExceeded)
	}
	if len(inbox.C()) != 3 {
		t.Errorf("the mailbox holds %d values, want 3", len(inbox.C()))
	}
	// The letters that were under way come whole and in order, and later letters come behind
	// them. The first sender's letters don't hold up another context.
	if _, err := sendLetters.Call(brief(t, 20*time.Second), self, sendOrder{To: to, N: 1}); err != nil {
		t.Error(err)
	}
	came, last := 0, make(chan error, 1)
	go func() {
		_, err := sendLetters.Call(brief(t, 20*time.Second), a, sendOrder{To: to, N: 1, Size: 1})
		last <- err
	}()
	for m := range inbox.C() {
		if m.From.ID() != a.ID() {
			continue
		}
		if len(m.Value.Text) < 10 {
			break // the last one
		}
		if want := fmt.Sprint(came, " "); !strings.HasPrefix(m.Value.Text, want[:len(want)-1]) {
			t.Fatalf("letter %d is %.10q, want its number first", came, m.Value.Text)
		}
		came++
	}
	if err := <-last; err != nil {
		t.Error(err)
	}
	if came*1000 > 512<<10 {
		t.Errorf("%d letters of 1000 bytes were under way to a full mailbox, want at most 512 KiB", came)
	}
}

// A large value whose sending is given up half-way does not damage the values behind it.
func TestAValueThatIsGivenUpHalfWay(t *testing.T) {
	noLeaks(t)
	self := start(t, nil)
	inbox, to := contexts.NewMailbox[[]byte](self, 1)
	a := child(t, self)
	for i := range 4 {
		err := sendBytes(t, a, to, 900<<10, byte(i), 300*time.Millisecond)
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
	go func() {
		if err := sendBytes(t, a, to, 10, 9, 20*time.Second); err != nil {
			t.Error(err)
		}
	}()
	for last := -1; last < 9; {
		m := <-inbox.C()
		if n := len(m.Value); n != 900<<10 && n != 10 || int(m.Value[0]) <= last || !bytes.Equal(m.Value, bytes.Repeat(m.Value[:1], n)) {
			t.Fatalf("a value has %d bytes that begin with %d, behind value %d, want a whole one of a later number", n, m.Value[0], last)
		}
		last = int(m.Value[0])
	}
	if err := sendBytes(t, a, to, 1<<20, 1, time.Second); !errors.Is(err, contexts.ErrTooLarge) {
		t.Errorf("sending a value that is too large: error %v, want %v", err, contexts.ErrTooLarge)
	}
	inbox.Close()
}

type bytesOrder struct {
	To   contexts.Sender[[]byte]
	Size int
	Fill byte
}

var sendBytesThere = contexts.NewFunc("test.mail.bytes", func(ctx context.Context, o bytesOrder) (struct{}, error) {
	return struct{}{}, o.To.Send(ctx, bytes.Repeat([]byte{o.Fill}, o.Size))
})

func sendBytes(t *testing.T, n *contexts.Node, to contexts.Sender[[]byte], size int, fill byte, limit time.Duration) error {
	_, err := sendBytesThere.Call(brief(t, limit), n, bytesOrder{to, size, fill})
	return err
}

func TestAClosedMailbox(t *testing.T) {
	noLeaks(t)
	self := start(t, nil)
	a := child(t, self)
	inbox, to := contexts.NewMailbox[letter](self, 5)
	if _, err := sendLetters.Call(t.Context(), a, sendOrder{To: to, N: 5}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all letters are in the mailbox", func() bool { return len(inbox.C()) == 5 })
	blocked := make(chan error, 1)
	go func() {
		_, err := sendLetters.Call(context.Background(), a, sendOrder{To: to, N: 1 << 20, Size: 1000})
		blocked <- err
	}()
	if err := errors.Join(inbox.Close(), inbox.Close()); err != nil {
		t.Error(err)
	}
	if err := <-blocked; !errors.Is(err, contexts.ErrClosed) {
		t.Errorf("a Send that waited when the mailbox was closed ended with %v, want %v", err, contexts.ErrClosed)
	}
	for _, n := range []*contexts.Node{a, self} {
		if _, err := sendLetters.Call(t.Context(), n, sendOrder{To: to, N: 1}); !errors.Is(err, contexts.ErrClosed) {
			t.Errorf("a Send after the mailbox was closed ended with %v, want %v", err, contexts.ErrClosed)
		}
	}
	n := 0
	for range inbox.C() {
		n++
	}
	if n != 5 {
		t.Errorf("the closed mailbox has %d values left, want 5", n)
	}
}

func TestAMailboxOfALostContext(t *testing.T) {
	noLeaks(t)
	self := start(t, nil)
	a := child(t, self)
	to, err := answering.Call(t.Context(), a, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	inbox, answer := contexts.NewMailbox[string](self, 1)
	defer inbox.Close()
	if err := to.Send(t.Context(), letter{"x", answer}); err != nil {
		t.Fatal(err)
	}
	<-inbox.C()
	kill(t, a)
	eventually(t, "sending fails", func() bool { err = to.Send(t.Context(), letter{}); return err != nil })
	for range 2 {
		if err = to.Send(t.Context(), letter{}); !errors.Is(err, contexts.ErrGone) {
			t.Errorf("sending to a lost context: error %v, want %v", err, contexts.ErrGone)
		}
	}
}

func TestWhatCannotBeAMailbox(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	for what, f := range map[string]func(){
		"of channels": func() { contexts.NewMailbox[chan int](self, 1) },
		"elsewhere":   func() { contexts.NewMailbox[int](a, 1) },
		"of no size":  func() { contexts.NewMailbox[int](self, 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a mailbox %s was made, want a panic", what)
				}
			}()
			f()
		}()
	}
}
