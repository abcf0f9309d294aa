package call

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
)

var errLeft = errors.New("the last caller has left")

// flights is a test of runs that end when the test says so.
type flights struct {
	Flights
	turns
	ends chan string // each string is the result of the run that waits for it
}

func (f *flights) join(t *testing.T, key, name string) *Flight {
	return f.Join(key, t.Context(), func(ctx context.Context) (any, error) {
		f.add(name + " begins")
		stop := context.AfterFunc(ctx, func() { f.add(name + " is told: " + context.Cause(ctx).Error()) })
		defer stop()
		return <-f.ends, nil
	})
}

func (f *flights) want(t *testing.T, log ...string) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(f.log, log) {
		t.Fatalf("so far: %q, want %q", f.log, log)
	}
}

// Callers with one key share a run. A caller that leaves does not end it for the others. The
// next run begins when it has ended. Other keys have runs of their own.
func TestFlightsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flights{ends: make(chan string)}
		a, b, other := f.join(t, "k", "first"), f.join(t, "k", "first"), f.join(t, "other", "other")
		a.Leave(errLeft)
		synctest.Wait()
		slices.Sort(f.log)
		f.want(t, "first begins", "other begins")
		f.ends <- "result"
		f.ends <- "result"
		for _, of := range []*Flight{b, other} {
			if v, err := of.Wait(t.Context()); v != "result" || err != nil {
				t.Errorf("the result is %v, %v, want that of the run", v, err)
			}
			of.Leave(errLeft)
		}
		c := f.join(t, "k", "second")
		f.want(t, "first begins", "other begins", "second begins")
		f.ends <- "new"
		if v, err := c.Wait(t.Context()); v != "new" || err != nil {
			t.Errorf("the result of the next run is %v, %v, want its own", v, err)
		}
		c.Leave(errLeft)
		if f.Callers() != 0 || len(f.byKey) != 0 {
			t.Errorf("after the last run %d are kept, want none", len(f.byKey))
		}
	})
}

// When the last caller leaves, the run is told. Until it has ended no other begins, however
// many callers come and go meanwhile.
func TestFlightsDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flights{ends: make(chan string)}
		f.join(t, "k", "first").Leave(nil) // before it has begun
		f.want(t)
		a, b := f.join(t, "k", "second"), f.join(t, "k", "second")
		f.want(t, "second begins")
		a.Leave(errLeft)
		b.Leave(errLeft)
		told := []string{"second begins", "second is told: " + errLeft.Error()}
		f.want(t, told...)
		for range 3 {
			c := f.join(t, "k", "one that nobody waited for")
			f.want(t, told...)
			c.Leave(errLeft)
			f.want(t, told...)
			if _, err := c.Wait(t.Context()); !errors.Is(err, errLeft) {
				t.Errorf("a run that was left before it began has error %v, want %v", err, errLeft)
			}
		}
		d := f.join(t, "k", "third")
		f.want(t, told...)
		f.ends <- "late"
		f.want(t, append(told, "third begins")...)
		f.ends <- "result"
		if v, err := d.Wait(t.Context()); v != "result" || err != nil {
			t.Errorf("the third run's result is %v, %v, want its own", v, err)
		}
		d.Leave(errLeft)
		if len(f.byKey) != 0 {
			t.Errorf("after the last run %d are kept, want none", len(f.byKey))
		}
	})
}

// A caller whose ctx ends does not wait for the run. A run whose base has ended does not
// begin. A run that ends its goroutine has an error.
func TestFlightsThatEndOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flights{ends: make(chan string)}
		a := f.join(t, "k", "first")
		f.want(t, "first begins")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errLeft)
		if _, err := a.Wait(ctx); !errors.Is(err, errLeft) {
			t.Errorf("a caller whose ctx has ended got %v, want the cause %v", err, errLeft)
		}
		f.ends <- "" // the run goes on until then
		a.Leave(nil)

		b := f.Join("k", ctx, func(context.Context) (any, error) { panic("it must not begin") })
		if _, err := b.Wait(t.Context()); !errors.Is(err, errLeft) {
			t.Errorf("the run whose base has ended has error %v, want %v", err, errLeft)
		}
		b.Leave(nil)
		c := f.Join("k", t.Context(), func(context.Context) (any, error) {
			runtime.Goexit()
			return nil, nil
		})
		if _, err := c.Wait(t.Context()); err != ErrNoReturn {
			t.Errorf("a run that ended its goroutine has error %v, want %v", err, ErrNoReturn)
		}
	})
}
