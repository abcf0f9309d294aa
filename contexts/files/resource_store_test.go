package files

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"

	"github.com/mitosis-go/mitosis/contexts"
)

// Many callers of a resource ask once. The end of the one who asks is not that of the
// others: the next one asks.
func TestTheNextCallerAsksForAResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s resourceStore
		first, cancel := context.WithCancelCause(t.Context())
		impatient := errors.New("the first is impatient")
		asked := 0
		errs := make(chan error, 1)
		go func() {
			_, err := s.get(first, resourceKey{name: "a"}, func() (*resource, error) {
				asked++
				<-first.Done()
				return nil, context.Cause(first)
			})
			errs <- err
		}()
		synctest.Wait()
		const others = 5
		there := make(chan *resource)
		answers := make(chan string, others)
		for range others {
			go func() {
				r, err := s.get(t.Context(), resourceKey{name: "a"}, func() (*resource, error) {
					asked++
					return <-there, nil
				})
				if err != nil {
					answers <- err.Error()
					return
				}
				answers <- string(r.Data)
			}()
		}
		synctest.Wait()
		if asked != 1 {
			t.Errorf("while the first caller waits, the resource was asked for %d times, want once", asked)
		}
		cancel(impatient)
		if err := <-errs; !errors.Is(err, impatient) {
			t.Errorf("the caller that was cancelled got %v, want its cause", err)
		}
		there <- &resource{Data: []byte("alpha")}
		for range others {
			if got := <-answers; got != "alpha" {
				t.Errorf("one of the others got %q, want the resource", got)
			}
		}
		if asked != 2 {
			t.Errorf("the resource was asked for %d times, want once by the first caller and once by another", asked)
		}
		if len(s.kept) != 1 || s.order.Len() != 1 || s.size == 0 {
			t.Errorf("%d resources in the map and %d in the list, of size %d; want that one is kept", len(s.kept), s.order.Len(), s.size)
		}
	})
}

// A caller who waits while another asks leaves when its ctx ends.
func TestACallerStopsWaitingForAResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s resourceStore
		there := make(chan *resource)
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _ = s.get(t.Context(), resourceKey{name: "a"}, func() (*resource, error) { return <-there, fs.ErrNotExist })
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.get(ctx, resourceKey{name: "a"}, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		close(there)
		<-answered
		if len(s.kept) != 0 || s.order.Len() != 0 {
			t.Errorf("%d resources in the map and %d in the list, want none after a failure", len(s.kept), s.order.Len())
		}
	})
}

// A process that joins another tree does not find the files of the one before.
func TestEachTreeHasItsOwnResources(t *testing.T) {
	var s resourceStore
	one, two := new(contexts.Node), new(contexts.Node)
	for tree, content := range map[*contexts.Node]string{one: "of the one", two: "of the other"} {
		for range 2 {
			r, err := s.get(t.Context(), resourceKey{tree, "a"}, func() (*resource, error) { return &resource{Data: []byte(content)}, nil })
			if err != nil || string(r.Data) != content {
				t.Errorf("got %q, %v; want %q", r.Data, err, content)
			}
		}
	}
	if len(s.kept) != 2 {
		t.Errorf("%d resources are kept, want one of each tree", len(s.kept))
	}
}
