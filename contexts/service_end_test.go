package contexts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// ending is an object whose Close does as it was told.
type ending struct {
	service string
	self    *contexts.Node
	running atomic.Int32

	mu    sync.Mutex
	order closeOrder
}

// closeOrder tells an ending what to do at the end.
type closeOrder struct {
	Does string // hang, panic, error
	Mark string // if not "": sent to the master
	File string // if not "": written
	Ask  *contexts.Node
}

func newEnding(service string) func(context.Context, *contexts.Node) (*ending, error) {
	return func(_ context.Context, self *contexts.Node) (*ending, error) {
		return &ending{service: service, self: self}, nil
	}
}

var (
	lower = contexts.NewService("test.ending.lower", newEnding("lower"))
	// upper is made by way of lower, and so lower is made first although upper is asked for first.
	upper = contexts.NewService("test.ending.upper", func(ctx context.Context, self *contexts.Node) (*ending, error) {
		if _, err := lower.Object(ctx, self); err != nil {
			return nil, err
		}
		return newEnding("upper")(ctx, self)
	})
	orderUpper = contexts.NewMethod(upper, "order", (*ending).Order)
	orderLower = contexts.NewMethod(lower, "order", (*ending).Order)
	linger     = contexts.NewMethod(upper, "linger", (*ending).Linger)
	stuck      = contexts.NewMethod(upper, "stuck", (*ending).Stuck)
)

func (e *ending) Order(_ context.Context, o closeOrder) (struct{}, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.order = o
	return struct{}{}, nil
}

// Linger returns some time after its ctx has ended.
func (e *ending) Linger(ctx context.Context, _ struct{}) (struct{}, error) {
	e.running.Add(1)
	defer e.running.Add(-1)
	if _, err := mark.Call(context.WithoutCancel(ctx), masterOf(e.self), "linger"); err != nil {
		return struct{}{}, err
	}
	<-ctx.Done()
	return mark.Call(context.WithoutCancel(ctx), masterOf(e.self), "lingered")
}

// Stuck does not heed its ctx.
func (e *ending) Stuck(ctx context.Context, _ struct{}) (struct{}, error) {
	e.running.Add(1)
	if _, err := mark.Call(ctx, masterOf(e.self), "stuck"); err != nil {
		return struct{}{}, err
	}
	select {}
}

func (e *ending) Close(ctx context.Context) error {
	e.mu.Lock()
	o := e.order
	e.mu.Unlock()
	text := fmt.Sprintf("%s closed %s with %d running", o.Mark, e.service, e.running.Load())
	if o.Ask != nil {
		_, err := pid.Call(ctx, o.Ask, struct{}{})
		text += fmt.Sprintf(", below: %v", err)
	}
	if o.File != "" {
		if err := os.WriteFile(o.File, []byte(text), 0o600); err != nil {
			return err
		}
	}
	if o.Mark != "" {
		if _, err := mark.Call(ctx, masterOf(contexts.Self(ctx)), text); err != nil {
			return err
		}
	}
	switch o.Does {
	case "hang":
		select {}
	case "panic":
		panic("at the end")
	case "error":
		return errors.New("the disk is full")
	}
	return nil
}

func give(t *testing.T, n *contexts.Node, m *contexts.Method[*ending, closeOrder, struct{}], o closeOrder) {
	t.Helper()
	if _, err := m.Call(t.Context(), n, o); err != nil {
		t.Fatal(err)
	}
}

// taken returns the marks that are there and contain a text, in their order.
func (m *markBoard) taken(text string) (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = slices.DeleteFunc(m.list, func(s string) bool {
		if strings.Contains(s, text) {
			all = append(all, s)
			return true
		}
		return false
	})
	return all
}

// Close of a context waits for its objects. They are closed when their methods have returned, the one
// that was made last first, and before the contexts below.
func TestServiceClosesWithItsContext(t *testing.T) {
	self := start(t, nil)
	n := child(t, self)
	below := child(t, n)
	give(t, n, orderUpper, closeOrder{Mark: "ordered", Ask: below})
	give(t, n, orderLower, closeOrder{Mark: "ordered", Ask: below})
	call := linger.Go(t.Context(), n, struct{}{})
	marks.await(t, "linger")
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := call.Wait(); err != nil {
		t.Errorf("a method that returns in time ended with %v, want its result", err)
	}
	want := []string{"ordered closed upper with 0 running, below: <nil>", "ordered closed lower with 0 running, below: <nil>"}
	if got := marks.taken("ordered closed"); !slices.Equal(got, want) {
		t.Errorf("the objects were closed as %q when Close returned, want %q", got, want)
	}
	if len(marks.taken("lingered")) != 1 {
		t.Error("the method had not returned when Close did, want it to have")
	}
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// An object that does not close, and a method that does not return, hold up the end of a context for
// part of its time only. Errors and panics of Close are logged, and other objects are closed.
func TestServiceCloseIsBounded(t *testing.T) {
	const timeout = 2 * time.Second
	for name, c := range map[string]struct {
		stuck bool
		does  string
		logs  string
	}{
		"hangs":       {does: "hang", logs: "did not close in time"},
		"panics":      {does: "panic", logs: "at the end"},
		"fails":       {does: "error", logs: "the disk is full"},
		"stuck":       {stuck: true, logs: "have not returned"},
		"stuck, hang": {stuck: true, does: "hang", logs: "did not close in time"},
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			self := start(t, &contexts.Config{Log: slog.New(slog.NewTextHandler(&log, nil)), CloseTimeout: timeout})
			n := child(t, self)
			give(t, n, orderUpper, closeOrder{Mark: name, Does: c.does})
			give(t, n, orderLower, closeOrder{Mark: name})
			if c.stuck {
				stuck.Go(t.Context(), n, struct{}{})
				marks.await(t, "stuck")
			}
			begin := time.Now()
			if err := n.Close(); err != nil {
				t.Errorf("Close returned %v, want no error: no process survives", err)
			}
			if took := time.Since(begin); took > timeout {
				t.Errorf("Close took %v, want at most Config.CloseTimeout, which is %v", took, timeout)
			}
			if got := marks.taken(name + " closed"); len(got) != 2 {
				t.Errorf("the objects were closed as %q, want both", got)
			}
			eventually(t, "the log tells of it", func() bool { return strings.Contains(log.String(), c.logs) })
			if strings.Contains(log.String(), "by force") {
				t.Errorf("the context was ended by force, want in order:\n%s", log.String())
			}
		})
	}
}

// Close of the master closes the objects there, and nothing of the tree is kept. Calls that arrive
// meanwhile are refused.
func TestServiceClosesWithTheMaster(t *testing.T) {
	noLeaks(t)
	before := contexts.HomesOf(tallies)
	self, err := contexts.Start(t.Context(), &contexts.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	n := child(t, self)
	var late, below error
	var life context.Context
	closed := 0
	hook(t, &hooks.close, func(o *tally) {
		closed++
		life = o.life
		_, late = add.Call(context.Background(), self, 1)
		_, below = pid.Call(context.Background(), n, struct{}{})
	})
	startService(t, self)
	running := hang.Go(t.Context(), self, struct{}{})
	marks.await(t, "the method hangs")
	if err := self.Close(); err != nil {
		t.Error(err)
	}
	if closed != 1 || !errors.Is(late, contexts.ErrClosed) || below != nil {
		t.Errorf("the object was closed %d times; a call to it then ended with %v, and one to a child with %v; want once, %v and no error",
			closed, late, below, contexts.ErrClosed)
	}
	if life == nil || life.Err() == nil {
		t.Error("the object's ctx had not ended when it was closed, want it to have")
	}
	if _, err := running.Wait(); err == nil {
		t.Error("a call that was under way has no error, want one")
	}
	if _, err := tallies.Object(t.Context(), self); err == nil {
		t.Error("the object can be had after Close, want an error")
	}
	if err := tallies.Start(t.Context(), self); err == nil {
		t.Error("the service was started after Close, want an error")
	}
	if after := contexts.HomesOf(tallies); after != before {
		t.Errorf("the service keeps %d contexts, before there were %d", after, before)
	}
}

// An object that is made while its context ends is closed, too.
func TestServiceMadeAtTheEnd(t *testing.T) {
	noLeaks(t)
	begun := make(chan struct{})
	hook(t, &hooks.make, func(ctx context.Context) error {
		close(begun)
		<-ctx.Done()
		return nil
	})
	var closed atomic.Int32
	hook(t, &hooks.close, func(*tally) { closed.Add(1) })
	self, err := contexts.Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	call := add.Go(t.Context(), self, 1)
	<-begun
	if err := self.Close(); err != nil {
		t.Error(err)
	}
	if _, err := call.Wait(); err == nil {
		t.Error("the call that waited for the object has no error, want one")
	}
	if closed.Load() != 1 {
		t.Errorf("the object was closed %d times, want once", closed.Load())
	}
}

// A context whose parent is lost closes its objects, and ends soon.
func TestServiceClosesWithoutParent(t *testing.T) {
	made := make(chan bootstrap.Carrier, 1)
	a := must(start(t, nil).Connect(t.Context(), cuttable{made: made}))
	file := filepath.Join(t.TempDir(), "closed")
	give(t, a, orderUpper, closeOrder{File: file})
	hung := filepath.Join(t.TempDir(), "hung")
	give(t, a, orderLower, closeOrder{File: hung, Does: "hang"})
	process := must(os.FindProcess(must(pid.Call(t.Context(), a, struct{}{}))))
	go (<-made).Close() // which waits for the process
	for _, f := range []string{file, hung} {
		eventually(t, "the object is closed", func() bool {
			text, _ := os.ReadFile(f)
			return strings.HasSuffix(string(text), "with 0 running")
		})
	}
	eventually(t, "the process ends although one object hangs", func() bool { return process.Signal(syscall.Signal(0)) != nil })
}

// cuttable is a hop whose link can be closed from here. (Below a context that is killed nothing is
// closed in order: its guard ends all of it.)
type cuttable struct {
	local.Child
	made chan<- bootstrap.Carrier
}

// Open implements connect.Method.
func (c cuttable) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	carrier, err := c.Child.Open(ctx, e)
	if err == nil {
		c.made <- carrier
	}
	return carrier, err
}
