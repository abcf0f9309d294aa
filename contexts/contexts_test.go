package contexts_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// appError is an error type of the application.
type appError struct{ Code int }

func (e *appError) Error() string { return fmt.Sprintf("application error %d", e.Code) }

func init() { contexts.RegisterErrorType[*appError]("contexts_test.appError") }

var (
	echo = contexts.NewFunc("test.echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	pid  = contexts.NewFunc("test.pid", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })
	open = contexts.NewFunc("test.open", func(_ context.Context, path string) (struct{}, error) {
		f, err := os.Open(path)
		if err == nil {
			f.Close()
		}
		return struct{}{}, err
	})
	fail = contexts.NewFunc("test.fail", func(_ context.Context, code int) (struct{}, error) {
		return struct{}{}, fmt.Errorf("wrapped: %w", &appError{code})
	})
	pretend = contexts.NewFunc("test.pretend", func(context.Context, struct{}) (struct{}, error) {
		return struct{}{}, contexts.ErrGone
	})
	panics = contexts.NewFunc("test.panic", func(_ context.Context, s string) (struct{}, error) { panic(s) })
	sum    = contexts.NewFunc("test.sum", func(_ context.Context, b []byte) ([32]byte, error) { return sha256.Sum256(b), nil })
	block  = contexts.NewFunc("test.block", func(ctx context.Context, tell *contexts.Node) (struct{}, error) {
		// The cancellation may be faster than the answer to this.
		if _, err := mark.Call(context.WithoutCancel(ctx), tell, "blocked"); err != nil {
			return struct{}{}, err
		}
		<-ctx.Done()
		_, err := mark.Call(context.WithoutCancel(ctx), tell, "released: "+context.Cause(ctx).Error())
		return struct{}{}, errors.Join(ctx.Err(), err)
	})
	left = contexts.NewFunc("test.left", func(ctx context.Context, _ struct{}) (time.Duration, error) {
		d, ok := ctx.Deadline()
		if !ok {
			return 0, errors.New("no deadline arrived")
		}
		return time.Until(d), nil
	})
	leftBeyond = contexts.NewFunc("test.left.beyond", func(ctx context.Context, on *contexts.Node) (time.Duration, error) {
		return left.Call(ctx, on, struct{}{})
	})
	order  = contexts.NewFunc("test.order", func(_ context.Context, n int) (int, error) { return n, orderOf(n) }, contexts.Serial)
	whoami = contexts.NewFunc("test.whoami", func(ctx context.Context, _ struct{}) (string, error) {
		return contexts.Self(ctx).String() + " called by " + contexts.Caller(ctx).String(), nil
	})
	relayCall = contexts.NewFunc("test.relay", func(ctx context.Context, to *contexts.Node) (string, error) {
		return whoami.Call(ctx, to, struct{}{})
	})
	spawn = contexts.NewFunc("test.spawn", func(ctx context.Context, _ struct{}) (*contexts.Node, error) {
		return contexts.Self(ctx).Connect(ctx, connect.Local{})
	})
	logs = contexts.NewFunc("test.logs", func(context.Context, struct{}) (struct{}, error) {
		slog.With("a", 1).WithGroup("g").Warn("a record", "b", "two")
		slog.Debug("too quiet")
		fmt.Println("printed")
		fmt.Fprint(os.Stderr, "shouted\n")
		return struct{}{}, nil
	})
	count = contexts.NewSeqFunc("test.count", func(ctx context.Context, n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
			if n == 13 {
				yield(0, fs.ErrExist)
			}
		}
	})
	shout = contexts.NewConnFunc("test.shout", func(_ context.Context, c net.Conn, suffix string) error {
		b, err := io.ReadAll(c)
		if err != nil {
			return err
		}
		_, err = io.WriteString(c, strings.ToUpper(string(b))+suffix)
		return err
	})
)

// mark records what children tell the master.
var mark = contexts.NewFunc("test.mark", func(_ context.Context, s string) (struct{}, error) {
	marks.add(s)
	return struct{}{}, nil
}, contexts.AllowDescendants)

var ordered []int

func orderOf(n int) error {
	ordered = append(ordered, n)
	if len(ordered) != n+1 {
		return fmt.Errorf("call %d came as number %d", n, len(ordered)-1)
	}
	return nil
}

type markBoard struct {
	mu   sync.Mutex
	list []string
	wake chan struct{}
}

var marks = markBoard{wake: make(chan struct{}, 1)}

func (m *markBoard) add(s string) {
	m.mu.Lock()
	m.list = append(m.list, s)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default: // somebody has been told that there is news
	}
}

// await waits until some mark begins with prefix.
func (m *markBoard) await(t *testing.T, prefix string) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		m.mu.Lock()
		for i, s := range m.list {
			if strings.HasPrefix(s, prefix) {
				m.list = append(m.list[:i], m.list[i+1:]...)
				m.mu.Unlock()
				return s
			}
		}
		m.mu.Unlock()
		select {
		case <-m.wake:
		case <-deadline:
			t.Fatalf("nobody said %q", prefix)
		}
	}
}

// start starts a tree that ends with the test.
func start(t *testing.T, cfg *contexts.Config) *contexts.Node {
	t.Helper()
	if cfg == nil {
		cfg = &contexts.Config{Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	}
	self, err := contexts.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := self.Close(); err != nil {
			t.Error(err)
		}
	})
	return self
}

func child(t *testing.T, of *contexts.Node) *contexts.Node {
	t.Helper()
	n, err := of.Connect(t.Context(), connect.Local{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCallAcrossTwoHops(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	b := child(t, a)
	if got := b.String(); got != "local/local" {
		t.Errorf("the path is %q", got)
	}
	if b.Via() != a || a.Via() != self || self.Via() != nil {
		t.Error("Via does not lead back to the master")
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
	if n.Via().ID() != a.ID() {
		t.Errorf("the new context hangs below %v", n.Via())
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
	c.Reset()
	if _, err := open.Call(t.Context(), c, "/"); err != nil {
		t.Errorf("after Reset: %v", err)
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

func TestSequence(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	next := 0
	for i, err := range count.Call(t.Context(), b, 100_000) {
		if err != nil || i != next {
			t.Fatalf("%d, %v in place of %d", i, err, next)
		}
		next++
	}
	if next != 100_000 {
		t.Errorf("%d values", next)
	}
	var last error
	for _, err := range count.Call(t.Context(), b, 13) {
		last = err
	}
	if !errors.Is(last, fs.ErrExist) {
		t.Errorf("the sequence ended with %v", last)
	}
	for i := range count.Call(t.Context(), b, 1<<40) {
		if i == 10 {
			break
		}
	}
}

func TestStream(t *testing.T) {
	self := start(t, nil)
	b := child(t, child(t, self))
	c, err := shout.Dial(t.Context(), b, "!")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "hello")
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "HELLO!" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDialThroughAContext(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %d", len(b))
	}()
	c, err := a.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "12345")
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "got 5" {
		t.Errorf("%q, %v", got, err)
	}
	ln.Close()
	if _, err := a.DialContext(t.Context(), "tcp", ln.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a closed port: %v", err)
	}
}

func TestLogsAndOutput(t *testing.T) {
	var mu sync.Mutex
	var shown, printed strings.Builder
	cfg := &contexts.Config{
		Log:    slog.New(slog.NewTextHandler(lockedWriter{&mu, &shown}, nil)),
		Output: lockedWriter{&mu, &printed},
	}
	self := start(t, cfg)
	b := child(t, child(t, self))
	if _, err := logs.Call(t.Context(), b, struct{}{}); err != nil {
		t.Fatal(err)
	}
	if err := self.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{`msg="a record"`, "a=1", "g.b=two", "context=local/local", "level=WARN"} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, shown.String())
		}
	}
	if strings.Contains(shown.String(), "too quiet") {
		t.Error("a debug record arrived")
	}
	for _, want := range []string{"[local/local] printed\n", "[local/local] shouted\n"} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("%q is not in the output:\n%s", want, printed.String())
		}
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func TestCloseOfAMiddleContext(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	b := child(t, a)
	p, err := pid.Call(t.Context(), b, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*contexts.Node{a, b} {
		select {
		case <-n.Done():
		case <-time.After(10 * time.Second):
			t.Fatalf("%v is not done", n)
		}
		if n.Err() == nil {
			t.Errorf("%v has no error", n)
		}
		if _, err := pid.Call(t.Context(), n, struct{}{}); !errors.Is(err, contexts.ErrGone) && !errors.Is(err, contexts.ErrNoRoute) {
			t.Errorf("a call to %v: %v", n, err)
		}
	}
	if process, err := os.FindProcess(p); err == nil {
		if err := process.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("process %d is still there: %v", p, err)
		}
	}
	if err := a.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestDepthLimit(t *testing.T) {
	self := start(t, &contexts.Config{MaxDepth: 2, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	b := child(t, child(t, self))
	if _, err := b.Connect(t.Context(), connect.Local{}); !errors.Is(err, contexts.ErrTooDeep) {
		t.Errorf("the third hop: %v", err)
	}
}

func TestTree(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	b := child(t, a)
	c := child(t, self)
	for _, n := range []*contexts.Node{a, b, c} {
		if _, err := n.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := self.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range tree {
		got = append(got, fmt.Sprint(i.ID))
		if i.PID == 0 || i.Hostname == "" || i.User == "" {
			t.Errorf("incomplete: %+v", i)
		}
		if i.Node != self && (i.BytesSent == 0 || i.BytesRead == 0) {
			t.Errorf("no figures of the link: %+v", i)
		}
	}
	if want := fmt.Sprint([]any{self.ID(), a.ID(), b.ID(), c.ID()}); fmt.Sprint(got) != want {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestEach(t *testing.T) {
	self := start(t, nil)
	a, b := child(t, self), child(t, self)
	seen := map[*contexts.Node]bool{}
	for n, r := range pid.Each(t.Context(), []*contexts.Node{a, b}, struct{}{}) {
		if r.Err != nil || r.Value == 0 {
			t.Errorf("%v: %+v", n, r)
		}
		seen[n] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d answers", len(seen))
	}
	for range pid.Each(t.Context(), nil, struct{}{}) {
		t.Error("an answer from nobody")
	}
}
