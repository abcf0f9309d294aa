package contexts_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

func TestCallAcrossTwoHops(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	b := child(t, a)
	if got := b.String(); got != "local/local" {
		t.Errorf("the path is %q", got)
	}
	if b.Parent() != a || a.Parent() != self || self.Parent() != nil {
		t.Error("Parent does not lead back to the master")
	}
	seen := map[int]bool{}
	for _, n := range []*contexts.Node{self, a, b} {
		p, err := pid.Call(t.Context(), n, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		if seen[p] {
			t.Errorf("%v runs in a process that another context has", n)
		}
		seen[p] = true
	}
	for _, size := range []int{0, 1, 65535, 65536, 65537, 3 << 20} {
		in := bytes.Repeat([]byte{'x'}, size)
		out, err := echo.Call(t.Context(), b, in)
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%d bytes: %d came back, %v", size, len(out), err)
		}
	}
}

func TestLargeArgument(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	in := bytes.Repeat([]byte("0123456789abcdef"), 100<<20/16)
	got, err := sum.Call(t.Context(), b, in)
	if err != nil {
		t.Fatal(err)
	}
	if got != sha256.Sum256(in) {
		t.Error("100 MiB did not arrive as they were sent")
	}
	if _, err := sum.Call(t.Context(), b, make([]byte, 200<<20)); !errors.Is(err, contexts.ErrTooLarge) {
		t.Errorf("200 MiB: %v", err)
	}
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	_, err := open.Call(t.Context(), b, "/no/such/file")
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("not ErrNotExist: %v", err)
	}
	var e *contexts.Error
	if !errors.As(err, &e) || e.Path != "local/local" {
		t.Errorf("no path in %#v", err)
	}
	var app *appError
	if _, err := fail.Call(t.Context(), b, 7); !errors.As(err, &app) || app.Code != 7 {
		t.Errorf("not the application's error: %v", err)
	}
	var p *contexts.PanicError
	if _, err := panics.Call(t.Context(), b, "ouch"); !errors.As(err, &p) || p.Value != "ouch" || !strings.Contains(p.Stack, "contexts_test.go") {
		t.Errorf("not a panic with its stack: %v", err)
	}
	if _, err := pretend.Call(t.Context(), b, struct{}{}); err == nil || errors.Is(err, contexts.ErrGone) {
		t.Errorf("a function's error was taken for a router's: %v", err)
	}
	if _, err := pid.Call(t.Context(), b, struct{}{}); err != nil {
		t.Errorf("the context does not work any more: %v", err)
	}
}

func TestCancellationTravels(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	ctx, cancel := context.WithCancel(t.Context())
	p := block.Go(ctx, b, self)
	marks.await(t, "blocked")
	cancel()
	if _, err := p.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait returned %v", err)
	}
	if s := marks.await(t, "released"); s != "released: "+context.Canceled.Error() {
		t.Error(s)
	}
}

func TestDeadlineTravels(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	b := child(t, a)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d, err := leftBeyond.Call(ctx, a, b) // a calls b with the rest of its time
	if err != nil {
		t.Fatal(err)
	}
	if d > time.Minute || d < 50*time.Second {
		t.Errorf("%v left", d)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := block.Call(ctx, b, self); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the deadline passed and Call returned %v", err)
	}
	marks.await(t, "blocked")
	marks.await(t, "released")
}

func TestAuthorityOfCalls(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	// A child may not call what is not offered, even by the name of ping.
	if _, err := relayCall.Call(t.Context(), a, self); !errors.Is(err, contexts.ErrRefused) {
		t.Errorf("a child called a function of the master: %v", err)
	}
	got, err := whoami.Call(t.Context(), a, struct{}{})
	if err != nil || got != "local called by master" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestNodesTravel(t *testing.T) {
	self := start(t, nil)
	a, b := child(t, self), child(t, self)
	// Passing a the node of b lets a call b, though they are siblings.
	got, err := relayCall.Call(t.Context(), a, b)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(got, "called by "+a.String()) && !strings.Contains(got, "called by context") {
		t.Errorf("%q", got)
	}
	// A node that comes back can be used.
	n, err := spawn.Call(t.Context(), a, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pid.Call(t.Context(), n, struct{}{}); err != nil {
		t.Fatal(err)
	}
	if n.Parent().ID() != a.ID() {
		t.Errorf("the new context hangs below %v", n.Parent())
	}
}

func TestChain(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	c := contexts.NewChain(a)
	defer c.Close()
	var calls []*contexts.Pending[struct{}]
	calls = append(calls, open.Go(t.Context(), c, "/"), open.Go(t.Context(), c, "/no/such"), open.Go(t.Context(), c, "/"), open.Go(t.Context(), c, "/"))
	for i, p := range calls {
		_, err := p.Wait()
		switch {
		case i == 0 && err != nil:
			t.Errorf("the first: %v", err)
		case i == 1 && (!errors.Is(err, fs.ErrNotExist) || errors.Is(err, contexts.ErrChainBroken)):
			t.Errorf("the second: %v", err)
		case i > 1 && (!errors.Is(err, fs.ErrNotExist) || !errors.Is(err, contexts.ErrChainBroken)):
			t.Errorf("number %d: %v", i, err)
		}
	}
	c.Close()
	if _, err := open.Call(t.Context(), c, "/"); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestSerialCallsKeepTheirOrder(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	var calls []*contexts.Pending[int]
	for i := range 2000 {
		calls = append(calls, order.Go(t.Context(), b, i))
	}
	for i, p := range calls {
		if n, err := p.Wait(); err != nil || n != i {
			t.Fatalf("call %d: %d, %v", i, n, err)
		}
	}
}

func TestEach(t *testing.T) {
	self := start(t, nil)
	a, b := child(t, self), child(t, self)
	seen := map[*contexts.Node]bool{}
	for n, r := range contexts.CallAll(t.Context(), pid, []*contexts.Node{a, b}, struct{}{}) {
		if r.Err != nil || r.Value == 0 {
			t.Errorf("%v: %+v", n, r)
		}
		seen[n] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d answers", len(seen))
	}
	for range contexts.CallAll(t.Context(), pid, []*contexts.Node(nil), struct{}{}) {
		t.Error("an answer from nobody")
	}
}
