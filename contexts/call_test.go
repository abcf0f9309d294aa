package contexts_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"iter"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
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
		t.Errorf("the path is %q, want local/local", got)
	}
	if b.Parent() != a || a.Parent() != self || self.Parent() != nil {
		t.Errorf("the parents are %v, %v and %v, want %v, the master and nil", b.Parent(), a.Parent(), self.Parent(), a)
	}
	seen := map[int]bool{}
	for _, n := range []*contexts.Node{self, a, b} {
		p, err := pid.Call(t.Context(), n, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		if seen[p] {
			t.Errorf("%v runs in the process of another context, want one of its own", n)
		}
		seen[p] = true
	}
	for _, size := range []int{0, 1, 65535, 65536, 65537, 3 << 20} {
		in := bytes.Repeat([]byte{'x'}, size)
		out, err := echo.Call(t.Context(), b, in)
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%d bytes came back, error %v, want the %d that were sent", len(out), err, size)
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
		t.Errorf("the checksum of 100 MiB there is %x, want %x", got, sha256.Sum256(in))
	}
	if _, err := sum.Call(t.Context(), b, make([]byte, 200<<20)); !errors.Is(err, contexts.ErrTooLarge) {
		t.Errorf("a call with 200 MiB ended with %v, want %v", err, contexts.ErrTooLarge)
	}
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	_, err := open.Call(t.Context(), b, "/no/such/file")
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("the error is %v, want it of the classes %v and %v", err, fs.ErrNotExist, syscall.ENOENT)
	}
	var e *contexts.Error
	if !errors.As(err, &e) || e.Path != "local/local" {
		t.Errorf("the error is %#v, want a *contexts.Error with the path local/local", err)
	}
	var app *appError
	if _, err := fail.Call(t.Context(), b, 7); !errors.As(err, &app) || app.Code != 7 {
		t.Errorf("the error is %v, want the application's own with code 7", err)
	}
	var p *contexts.PanicError
	if _, err := panics.Call(t.Context(), b, "ouch"); !errors.As(err, &p) || p.Value != "ouch" || !strings.Contains(p.Stack, "contexts_test.go") {
		t.Errorf("the error is %v, want a *contexts.PanicError with value and stack", err)
	}
	if _, err := pretend.Call(t.Context(), b, struct{}{}); err == nil || errors.Is(err, contexts.ErrGone) {
		t.Errorf("the error of a function that imitates the router is %v, want an error not of the class %v", err, contexts.ErrGone)
	}
	if _, err := pid.Call(t.Context(), b, struct{}{}); err != nil {
		t.Errorf("a call after the errors ended with %v, want no error", err)
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
		t.Errorf("Wait of the cancelled call returned %v, want %v", err, context.Canceled)
	}
	if s := marks.await(t, "released"); s != "released: "+context.Canceled.Error() {
		t.Errorf("the function says %q, want released by %v", s, context.Canceled)
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
		t.Errorf("the function has %v left, want 50s to 1m", d)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := block.Call(ctx, b, self); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after its deadline Call returned %v, want %v", err, context.DeadlineExceeded)
	}
	marks.await(t, "blocked")
	marks.await(t, "released")
}

// overTime makes an error of its own of the end of its time, as a command does that is killed. It
// may be back before the caller's clock has come to the deadline.
var overTime = contexts.NewFunc("test.overtime", func(ctx context.Context, _ struct{}) (struct{}, error) {
	<-ctx.Done()
	return struct{}{}, errors.New("signal: killed")
})

// slowClock has a deadline and does not end by it, like the ctx of a caller whose timer is late.
type slowClock struct {
	context.Context
	deadline time.Time
}

func (c slowClock) Deadline() (time.Time, bool) { return c.deadline, true }

// The time of a call may be over there before it is over here. The error is the same.
func TestDeadlineThatTheFarSideSeesFirst(t *testing.T) {
	n := child(t, start(t, nil))
	_, err := overTime.Call(slowClock{t.Context(), time.Now().Add(10 * time.Millisecond)}, n, struct{}{})
	if text := context.DeadlineExceeded.Error() + ": signal: killed"; !errors.Is(err, context.DeadlineExceeded) || !strings.HasSuffix(err.Error(), text) {
		t.Errorf("the call ended with %v, want %s", err, text)
	}
}

func TestAuthorityOfCalls(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	// A child may not call a function that does not allow it.
	if _, err := relayCall.Call(t.Context(), a, self); !errors.Is(err, contexts.ErrRefused) {
		t.Errorf("a child's call to a function of the master ended with %v, want %v", err, contexts.ErrRefused)
	}
	got, err := whoami.Call(t.Context(), a, struct{}{})
	if err != nil || got != "local called by master" {
		t.Errorf("the function returned %q, %v, want that local was called by master", got, err)
	}
}

func TestNodesTravel(t *testing.T) {
	self := start(t, nil)
	a, b := child(t, self), child(t, self)
	// a is passed the node of its sibling b. That lets a call b.
	got, err := relayCall.Call(t.Context(), a, b)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(got, "called by "+a.String()) && !strings.Contains(got, "called by context") {
		t.Errorf("b says %q, want that it was called by %v", got, a)
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
		t.Errorf("the parent of the new context is %v, want %v", n.Parent(), a)
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
			t.Errorf("the first call ended with %v, want no error", err)
		case i == 1 && (!errors.Is(err, fs.ErrNotExist) || errors.Is(err, contexts.ErrChainBroken)):
			t.Errorf("the second call, which fails, ended with %v, want only %v", err, fs.ErrNotExist)
		case i > 1 && (!errors.Is(err, fs.ErrNotExist) || !errors.Is(err, contexts.ErrChainBroken)):
			t.Errorf("call %d, behind the failure, ended with %v, want %v and %v", i, err, contexts.ErrChainBroken, fs.ErrNotExist)
		}
	}
	c.Close()
	if _, err := open.Call(t.Context(), c, "/"); err != nil {
		t.Errorf("a call to the node after the chain's Close ended with %v, want no error", err)
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
			t.Fatalf("call %d returned %d, %v, want its own number", i, n, err)
		}
	}
}

// alone fails if another call of it runs at the same time.
var (
	alone = contexts.NewFunc("test.alone", func(ctx context.Context, tell *contexts.Node) (struct{}, error) {
		if !aloneNow.CompareAndSwap(false, true) {
			return struct{}{}, errors.New("another call of a Serial function runs at the same time")
		}
		defer aloneNow.Store(false)
		return mark.Call(ctx, tell, "alone")
	}, contexts.Serial)
	aloneNow atomic.Bool
)

// Calls of a Serial function run one after the other, those of chains included.
func TestSerialCallsOfChains(t *testing.T) {
	self := start(t, nil)
	n := child(t, self)
	var calls []*contexts.Pending[struct{}]
	for range 20 {
		c := contexts.NewChain(n)
		defer c.Close()
		calls = append(calls, alone.Go(t.Context(), c, self), alone.Go(t.Context(), n, self), alone.Go(t.Context(), c, self))
	}
	for i, p := range calls {
		if _, err := p.Wait(); err != nil {
			t.Fatalf("call %d of chains and others: %v, want no error", i, err)
		}
	}
}

var (
	exits       = contexts.NewFunc("test.exits", goexit)
	exitsSerial = contexts.NewFunc("test.exits.serial", goexit, contexts.Serial)
	exitsInConn = contexts.NewConnFunc("test.exits.conn", func(ctx context.Context, _ net.Conn, _ bool) error {
		_, err := goexit(ctx, true)
		return err
	})
	exitsInSeq = contexts.NewSeqFunc("test.exits.seq", func(ctx context.Context, _ bool) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			yield(1, nil)
			_, _ = goexit(ctx, true)
		}
	})
)

func goexit(_ context.Context, exit bool) (bool, error) {
	if exit {
		runtime.Goexit()
	}
	return true, nil
}

// A function that ends its goroutine is an error of its caller, and holds up no later call.
func TestGoexitIsAnError(t *testing.T) {
	n := child(t, start(t, nil))
	for _, f := range []*contexts.Func[bool, bool]{exits, exitsSerial} {
		for range 2 {
			if _, err := f.Call(t.Context(), n, true); err == nil || !strings.Contains(err.Error(), "ended its goroutine") {
				t.Errorf("%s ended with %v, want an error that says so", f.Name(), err)
			}
			if ok, err := f.Call(t.Context(), n, false); !ok || err != nil {
				t.Errorf("the next call of %s returned %v, %v; want true", f.Name(), ok, err)
			}
		}
	}
	chain := contexts.NewChain(n)
	defer chain.Close()
	exits.Go(t.Context(), chain, true)
	if _, err := exits.Call(t.Context(), chain, false); !errors.Is(err, contexts.ErrChainBroken) {
		t.Errorf("the next call of a chain ended with %v, want %v", err, contexts.ErrChainBroken)
	}
	conn, err := exitsInConn.Dial(t.Context(), n, true)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "ended its goroutine") {
		t.Errorf("the stream of a function that ended its goroutine ends with %v, want an error that says so", err)
	}
	var last error
	for _, err := range exitsInSeq.Call(t.Context(), n, true) {
		last = err
	}
	if last == nil {
		t.Errorf("the sequence of a function that ended its goroutine has no error, want one")
	}
}

func TestEach(t *testing.T) {
	self := start(t, nil)
	a, b := child(t, self), child(t, self)
	seen := map[*contexts.Node]bool{}
	for n, r := range contexts.CallAll(t.Context(), pid, []*contexts.Node{a, b}, struct{}{}) {
		if r.Err != nil || r.Value == 0 {
			t.Errorf("the result of %v is %+v, want a process ID", n, r)
		}
		seen[n] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d contexts answered, want 2", len(seen))
	}
	for range contexts.CallAll(t.Context(), pid, []*contexts.Node(nil), struct{}{}) {
		t.Error("a call to no contexts has a result, want none")
	}
}
