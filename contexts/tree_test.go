package contexts_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

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
			t.Fatalf("after 10 s Done of %v is not closed", n)
		}
		if n.Err() == nil {
			t.Errorf("the closed node %v has no error, want one", n)
		}
		if _, err := pid.Call(t.Context(), n, struct{}{}); !errors.Is(err, contexts.ErrGone) {
			t.Errorf("a call to %v ended with %v, want %v", n, err, contexts.ErrGone)
		}
	}
	if process, err := os.FindProcess(p); err == nil {
		if err := process.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("a signal to process %d, which must have ended, returned %v, want %v", p, err, os.ErrProcessDone)
		}
	}
	if err := a.Close(); err != nil {
		t.Errorf("a second Close returned %v, want no error", err)
	}
}

// Several close the same context at once, some by way of the one above: all wait for its end, and
// it has ended in order.
func TestSeveralCloseTheSameContext(t *testing.T) {
	var mu sync.Mutex
	var log strings.Builder
	self := start(t, &contexts.Config{Log: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))})
	for range 10 {
		a := child(t, self)
		b := child(t, a)
		var closing sync.WaitGroup
		for i := range 6 {
			closing.Go(func() {
				n := []*contexts.Node{a, b}[i%2]
				if err := n.Close(); err != nil {
					t.Errorf("Close of %v: %v", n, err)
				}
				if n.Err() == nil {
					t.Errorf("Close of %v has returned and it is there", n)
				}
			})
		}
		closing.Wait()
	}
	mu.Lock()
	defer mu.Unlock()
	if log.Len() > 0 {
		t.Errorf("the log has, want nothing:\n%s", log.String())
	}
}

func TestDepthLimit(t *testing.T) {
	self := start(t, &contexts.Config{MaxDepth: 2, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	b := child(t, child(t, self))
	_, err := b.Connect(t.Context(), local.Child{})
	if !errors.Is(err, contexts.ErrTooDeep) || strings.Count(err.Error(), "connect local/local/local: ") != 1 {
		t.Errorf("the third hop failed with %v, want %v with its path once", err, contexts.ErrTooDeep)
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
			t.Errorf("a context of the tree is %+v, want PID, host name and user", i)
		}
		if i.Node != self && (i.BytesSent == 0 || i.BytesRead == 0) {
			t.Errorf("a context of the tree is %+v, want the bytes of its link", i)
		}
	}
	if want := fmt.Sprint([]any{self.ID(), a.ID(), b.ID(), c.ID()}); fmt.Sprint(got) != want {
		t.Errorf("the IDs of the tree are %v, want %v", got, want)
	}
}
