package contexts_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
)

// nearestFrom calls the service from a context, by Nearest, and returns where the object is.
func nearestFrom(t *testing.T, n *contexts.Node) (string, error) {
	t.Helper()
	return tryService.Call(t.Context(), n, attempt{"nearest", n})
}

// wantNearest fails the test if another object than that of want is nearest from n.
func wantNearest(t *testing.T, n, want *contexts.Node) {
	t.Helper()
	wantNearestBy(t, n, want, want)
}

// wantNearestBy is wantNearest for an object to which the context by passes calls on.
func wantNearestBy(t *testing.T, n, by, want *contexts.Node) {
	t.Helper()
	if got, err := nearestFrom(t, n); err != nil || got != want.String() {
		t.Errorf("from %v the nearest object is in %q, %v; want %v", n, got, err, want)
	}
	// The same, asked by the master for it.
	if got, err := tallies.Find(t.Context(), n); err != nil || got.ID() != by.ID() {
		t.Errorf("seen by the master, from %v the nearest context with the service is %v, %v; want %v", n, got, err, by)
	}
}

func wantNotStarted(t *testing.T, n *contexts.Node) {
	t.Helper()
	if got, err := nearestFrom(t, n); !errors.Is(err, contexts.ErrNotStarted) {
		t.Errorf("from %v the nearest object is in %q, %v; want %v", n, got, err, contexts.ErrNotStarted)
	}
}

func startService(t *testing.T, on contexts.Target) {
	t.Helper()
	if err := tallies.Start(t.Context(), on); err != nil {
		t.Fatal(err)
	}
}

// A service is found in the nearest context above that has started it, and in a nearer one as
// soon as that has.
func TestServiceNearest(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	b := child(t, a)
	c := child(t, b)
	beside := child(t, self)
	startService(t, beside) // this is on nobody's way up but its own
	for _, n := range []*contexts.Node{self, a, b, c} {
		wantNotStarted(t, n)
	}
	wantNearest(t, beside, beside)
	for _, above := range []*contexts.Node{self, a, b, c} {
		startService(t, above)
		wantNearest(t, c, above)
	}
	wantNearest(t, b, b)
	wantNearest(t, a, a)
	wantNearest(t, self, self)
}

// A first call by name of the node starts the service, as Start does.
func TestServiceIsStartedByACall(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	wantNotStarted(t, a)
	if _, err := add.Call(t.Context(), self, 1); err != nil {
		t.Fatal(err)
	}
	wantNearest(t, a, self)
}

// A service that does not start is not found.
func TestServiceThatFailedIsNotFound(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	startService(t, self)
	begun, proceed := make(chan struct{}), make(chan struct{})
	other := start(t, nil)
	below := child(t, other)
	hook(t, &hooks.make, func(context.Context) error {
		close(begun)
		<-proceed
		return errors.New("no database")
	})
	starting := make(chan error)
	go func() { starting <- tallies.Start(t.Context(), other) }()
	<-begun
	if n, err := tallies.Find(t.Context(), below); err != nil || n.ID() != other.ID() {
		t.Errorf("while it starts, the service is found in %v, %v; want the master", n, err)
	}
	close(proceed)
	if err := <-starting; err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("Start returned %v, want the reason", err)
	}
	wantNotStarted(t, below)
	wantNearest(t, a, self) // trees know nothing of each other
}

// Calls get to a context that is registered with one above, although it is beside the caller.
// When it is gone, the service is not found any more.
func TestServiceRegistered(t *testing.T) {
	self := start(t, nil)
	host, user := child(t, self), child(t, child(t, self))
	if err := tallies.Register(t.Context(), self, host); err != nil {
		t.Fatal(err)
	}
	wantNearestBy(t, user, self, host)
	wantNearestBy(t, self, self, host)
	// The finding is no authority: a method that is not allowed to descendants stays refused.
	if _, err := tryService.Call(t.Context(), user, attempt{"nearest twice", user}); !errors.Is(err, contexts.ErrRefused) {
		t.Errorf("a method that is not allowed to descendants: %v, want %v", err, contexts.ErrRefused)
	}
	// An object in the context itself is nearer than the one that is registered there.
	startService(t, user.Parent())
	wantNearest(t, user, user.Parent())

	other := child(t, self)
	wantNearestBy(t, other, self, host)
	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	wantNotStarted(t, other)
	replacement := child(t, self)
	if err := tallies.Register(t.Context(), self, replacement); err != nil {
		t.Fatal(err)
	}
	wantNearestBy(t, other, self, replacement)
	if err := tallies.Register(t.Context(), self, nil); err != nil {
		t.Fatal(err)
	}
	wantNotStarted(t, other)
	for _, at := range []*contexts.Node{self, user} {
		if err := tallies.Register(t.Context(), replacement, at); !errors.Is(err, contexts.ErrRefused) {
			t.Errorf("%v was registered with %v, which is not above: error %v, want %v", at, replacement, err, contexts.ErrRefused)
		}
	}
}

// Calls that are passed on keep their order, errors, panics, deadlines and cancellation. The object
// of the context that passes them on takes the place of the registration.
func TestServicePassesOn(t *testing.T) {
	self := start(t, nil)
	host := child(t, self)
	if err := tallies.Register(t.Context(), self, host); err != nil {
		t.Fatal(err)
	}
	var calls []*contexts.Pending[int]
	for range 200 {
		calls = append(calls, add.Go(t.Context(), self, 1))
	}
	for i, p := range calls {
		if n, err := p.Wait(); err != nil || n != i+1 {
			t.Fatalf("call %d that was passed on returned %d, %v; want %d", i, n, err, i+1)
		}
	}
	var p *contexts.PanicError
	if _, err := trip.Call(t.Context(), self, "ouch"); !errors.As(err, &p) || p.Value != "ouch" {
		t.Errorf("the method that panics ended with %v, want a *contexts.PanicError", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	call := hang.Go(ctx, self, struct{}{})
	marks.await(t, "the method hangs")
	cancel()
	if _, err := call.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("the call that was given up ended with %v, want %v", err, context.Canceled)
	}
	marks.await(t, "the method returns: "+context.Canceled.Error())
	if got, err := nodeName.Call(t.Context(), self, host); err != nil || got != host.String() {
		t.Errorf("a node that was passed on arrived as %q, %v; want %v", got, err, host)
	}
	startService(t, self)
	wantNearest(t, self, self)
}

// A host that dies ends calls that are under way. Then it is not found any more.
func TestServiceHostDies(t *testing.T) {
	self := start(t, nil)
	host, user := child(t, self), child(t, self)
	if err := tallies.Register(t.Context(), self, host); err != nil {
		t.Fatal(err)
	}
	call := tryService.Go(t.Context(), user, attempt{"nearest hang", user})
	marks.await(t, "the method hangs")
	kill(t, host)
	if _, err := call.Wait(); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("the call to an object whose host dies ended with %v, want that it is gone", err)
	}
	<-host.Done()
	wantNotStarted(t, user)
	if _, err := add.Call(t.Context(), host, 1); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("a call to the host that is gone ended with %v, want %v", err, contexts.ErrGone)
	}
}

// A target that is no method of a service can't be sought.
func TestNearestIsForServices(t *testing.T) {
	self := start(t, nil)
	if _, err := pid.Call(t.Context(), contexts.Nearest(self), struct{}{}); err == nil {
		t.Error("a function was called in the nearest context, want an error")
	}
	if _, err := contexts.NodeOf(t.Context(), contexts.Nearest(self)); err == nil {
		t.Error("Nearest was used as a node, want an error")
	}
	if _, err := add.Call(t.Context(), contexts.Nearest(nil), 1); err == nil {
		t.Error("Nearest of nil found a service, want an error")
	}
	if _, err := add.Call(t.Context(), contexts.Nearest(new(contexts.Node)), 1); err == nil {
		t.Error("Nearest of a node of no tree found a service, want an error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := add.Call(ctx, contexts.Nearest(self), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a call with a ctx that has ended returned %v, want %v", err, context.Canceled)
	}
}
