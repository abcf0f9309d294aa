package contexts_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// tally is the object of a service that these tests call.
type tally struct {
	self *contexts.Node
	life context.Context
	sum  int // only Serial methods use it
	busy atomic.Bool
	runs sync.Map // of string: *atomic.Int32, the runs of work with an argument
}

// hooks let a test change what happens to the objects in its own process.
var hooks struct {
	make  atomic.Pointer[func(ctx context.Context) error]
	work  atomic.Pointer[func(ctx context.Context, in job) error]
	close atomic.Pointer[func(t *tally)]
}

// hook sets one of them for the time of the test.
func hook[F any](t *testing.T, at *atomic.Pointer[F], f F) {
	at.Store(&f)
	t.Cleanup(func() { at.Store(nil) })
}

// job is an argument with a map, whose order changes from one encoding to the next.
type job struct {
	Name string
	Tags map[string]int
}

var (
	tallies = contexts.NewService("test.tally", func(ctx context.Context, self *contexts.Node) (*tally, error) {
		if f := hooks.make.Load(); f != nil {
			if err := (*f)(ctx); err != nil {
				return nil, err
			}
		}
		return &tally{self: self, life: ctx}, nil
	})

	add      = contexts.NewMethod(tallies, "add", (*tally).Add, contexts.Serial, contexts.AllowDescendants)
	twice    = contexts.NewMethod(tallies, "twice", (*tally).Twice, contexts.Serial)
	where    = contexts.NewMethod(tallies, "where", (*tally).Where, contexts.AllowDescendants)
	once     = contexts.NewMethod(tallies, "once", (*tally).Work, contexts.SingleFlight)
	beat     = contexts.NewMethod(tallies, "beat", (*tally).Work)
	turns    = contexts.NewMethod(tallies, "turns", (*tally).Work, contexts.SingleFlight, contexts.Serial)
	hang     = contexts.NewMethod(tallies, "hang", (*tally).Hang, contexts.AllowDescendants)
	nodeName = contexts.NewMethod(tallies, "nodename", func(_ *tally, _ context.Context, n *contexts.Node) (string, error) {
		return n.String(), nil
	})
	trip = contexts.NewMethod(tallies, "trip", func(_ *tally, _ context.Context, s string) (struct{}, error) { panic(s) })

	fib     = contexts.DeclareMethod[int, int](tallies, "fib", contexts.SingleFlight)
	forever = contexts.DeclareMethod[int, int](tallies, "forever", contexts.SingleFlight)
	toSelf  = contexts.DeclareMethod[int, int](tallies, "toself", contexts.Serial)
	cast    = contexts.DeclareMethod[int, struct{}](tallies, "cast", contexts.Serial)
)

func init() {
	fib.Define(func(t *tally, ctx context.Context, n int) (int, error) {
		if n < 2 {
			return n, nil
		}
		a, err := fib.Call(ctx, t.self, n-1)
		if err != nil {
			return 0, err
		}
		b, err := fib.Call(ctx, t.self, n-2)
		return a + b, err
	})
	forever.Define(func(t *tally, ctx context.Context, n int) (int, error) { return forever.Call(ctx, t.self, n) })
	toSelf.Define(func(t *tally, ctx context.Context, n int) (int, error) { return add.Call(ctx, t.self, n) })
	cast.Define(func(t *tally, ctx context.Context, n int) (struct{}, error) {
		return struct{}{}, add.CallNoReply(ctx, t.self, n)
	})
}

func (t *tally) alone() (done func(), err error) {
	if !t.busy.CompareAndSwap(false, true) {
		return nil, errors.New("another Serial method of the object runs at the same time")
	}
	return func() { t.busy.Store(false) }, nil
}

func (t *tally) Add(_ context.Context, n int) (int, error) {
	done, err := t.alone()
	if err != nil {
		return 0, err
	}
	defer done()
	t.sum += n
	return t.sum, nil
}

func (t *tally) Twice(ctx context.Context, n int) (int, error) { return t.Add(ctx, 2*n) }

func (t *tally) Where(context.Context, struct{}) (string, error) { return t.self.String(), nil }

// Work returns how often it was run with this name.
func (t *tally) Work(ctx context.Context, in job) (int32, error) {
	v, _ := t.runs.LoadOrStore(in.Name, new(atomic.Int32))
	n := v.(*atomic.Int32).Add(1)
	if f := hooks.work.Load(); f != nil {
		return n, (*f)(ctx, in)
	}
	return n, nil
}

// Hang returns when its ctx ends. The master learns of both.
func (t *tally) Hang(ctx context.Context, _ struct{}) (struct{}, error) {
	master := masterOf(t.self)
	if _, err := mark.Call(context.WithoutCancel(ctx), master, "the method hangs"); err != nil {
		return struct{}{}, err
	}
	<-ctx.Done()
	_, err := mark.Call(context.WithoutCancel(ctx), master, "the method returns: "+context.Cause(ctx).Error())
	return struct{}{}, errors.Join(ctx.Err(), err)
}

// masterOf returns the root of a tree, which must be an ancestor that is known.
func masterOf(n *contexts.Node) *contexts.Node {
	for n.Parent() != nil && n.Parent().ID() != n.ID() {
		n = n.Parent()
	}
	return n
}

func (t *tally) Close() {
	if f := hooks.close.Load(); f != nil {
		(*f)(t)
	}
}

// Each context has an object of its own, which is made once and lives on from call to call,
// also when a method panics.
func TestServiceObjectLivesOn(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	for _, n := range []*contexts.Node{self, a, child(t, a)} {
		for i, want := range []int{1, 3, 6} {
			if got, err := add.Call(t.Context(), n, i+1); err != nil || got != want {
				t.Fatalf("the sum in %v is %d, %v; want %d", n, got, err, want)
			}
		}
		var p *contexts.PanicError
		if _, err := trip.Call(t.Context(), n, "ouch"); !errors.As(err, &p) || p.Value != "ouch" {
			t.Errorf("the method that panics in %v ended with %v, want a *contexts.PanicError", n, err)
		}
		if got, err := add.Call(t.Context(), n, 1); err != nil || got != 7 {
			t.Errorf("after the panic the sum in %v is %d, %v; want 7", n, got, err)
		}
		if got, err := where.Call(t.Context(), n, struct{}{}); err != nil || got != n.String() {
			t.Errorf("the object in %v says it is in %q, %v", n, got, err)
		}
	}
}

// Any number of Starts and calls at the same time make one object.
func TestServiceStartsOnce(t *testing.T) {
	var made atomic.Int32
	proceed := make(chan struct{})
	hook(t, &hooks.make, func(context.Context) error {
		made.Add(1)
		<-proceed
		return nil
	})
	self := start(t, nil)
	results := make(chan error, 40)
	for range 10 {
		go func() { results <- tallies.Start(t.Context(), self) }()
		go func() { _, err := add.Call(t.Context(), self, 1); results <- err }()
		go func() { _, err := once.Call(t.Context(), self, job{Name: "x"}); results <- err }()
		go func() { _, err := tallies.Object(t.Context(), self); results <- err }()
	}
	eventually(t, "the object is being made", func() bool { return made.Load() == 1 })
	close(proceed)
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if err := tallies.Start(t.Context(), self); err != nil || made.Load() != 1 {
		t.Errorf("the object was made %d times, and another Start returned %v; want once and no error", made.Load(), err)
	}
	o, err := tallies.Object(t.Context(), self)
	if err != nil || o.sum != 10 {
		t.Errorf("the object is %+v, %v; want it with the sum of ten calls", o, err)
	}
}

// All who wait for a making that fails get its error. The next call tries again.
func TestServiceStartFails(t *testing.T) {
	for name, fails := range map[string]struct {
		make  func() error
		check func(err error) bool
	}{
		"error": {func() error { return fs.ErrNotExist }, func(err error) bool { return errors.Is(err, fs.ErrNotExist) }},
		"panic": {func() error { panic("no database") }, func(err error) bool {
			p, ok := errors.AsType[*contexts.PanicError](err)
			return ok && p.Value == "no database"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var attempts atomic.Int32
			proceed := make(chan struct{})
			hook(t, &hooks.make, func(context.Context) error {
				if attempts.Add(1) > 1 {
					return nil
				}
				<-proceed
				return fails.make()
			})
			self := start(t, nil)
			var calls []*contexts.Pending[int]
			for range 20 {
				calls = append(calls, add.Go(t.Context(), self, 1))
			}
			// Behind them in the queue of Serial calls, so all have come when it is refused.
			twice.Go(t.Context(), self, 1)
			eventually(t, "the object is being made", func() bool { return attempts.Load() == 1 })
			awaitArrival(t, self)
			close(proceed)
			for i, p := range calls {
				if _, err := p.Wait(); !fails.check(err) {
					t.Fatalf("call %d of a service that does not start ended with %v, want that error", i, err)
				}
			}
			if got, err := add.Call(t.Context(), self, 1); err != nil || got != 1 || attempts.Load() != 2 {
				t.Errorf("the next call returned %d, %v after %d attempts; want 1 after two", got, err, attempts.Load())
			}
		})
	}
}

// awaitArrival returns when all calls that were sent to a node before have arrived.
func awaitArrival(t *testing.T, n *contexts.Node) {
	t.Helper()
	if _, err := n.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A caller that gives up does not end the making for others. When the last one leaves, the
// making is told, and an object that is made nevertheless is closed. Until then no other is made.
func TestServiceMakingThatNobodyWaitsFor(t *testing.T) {
	type making struct {
		ctx     context.Context
		proceed chan struct{}
	}
	makings := make(chan making)
	hook(t, &hooks.make, func(ctx context.Context) error {
		m := making{ctx, make(chan struct{})}
		makings <- m
		<-m.proceed // it does not heed its ctx
		return nil
	})
	closed := make(chan *tally, 10)
	hook(t, &hooks.close, func(o *tally) { closed <- o })
	self := start(t, nil)

	ctxA, cancelA := context.WithCancel(t.Context())
	ctxB, cancelB := context.WithCancel(t.Context())
	a, b := add.Go(ctxA, self, 1), where.Go(ctxB, self, struct{}{})
	first := <-makings
	awaitArrival(t, self)
	cancelA()
	if _, err := a.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that gave up has %v, want %v", err, context.Canceled)
	}
	awaitArrival(t, self)
	if first.ctx.Err() != nil {
		t.Errorf("the making was told %v although a caller waits, want nothing", context.Cause(first.ctx))
	}
	cancelB()
	if _, err := b.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("the last caller has %v, want %v", err, context.Canceled)
	}
	<-first.ctx.Done()
	c := add.Go(t.Context(), self, 5)
	awaitArrival(t, self)
	select {
	case <-makings:
		t.Fatal("a second making has begun before the first one has ended")
	default:
	}
	close(first.proceed)
	second := <-makings
	select {
	case <-closed:
	default:
		t.Error("the object that nobody waited for was not closed before the next making, want it closed")
	}
	close(second.proceed)
	if got, err := c.Wait(); err != nil || got != 5 {
		t.Errorf("the call that waited for the second making returned %d, %v; want 5", got, err)
	}
	if second.ctx.Err() != nil {
		t.Errorf("the ctx of the object has ended with %v, want it to live", context.Cause(second.ctx))
	}
}

// Serial methods run one after the other, whichever they are, and in the order of their arrival
// although the object must be made first. In another context they have queues of their own.
func TestServiceSerialMethods(t *testing.T) {
	self := start(t, nil)
	for _, n := range []*contexts.Node{self, child(t, child(t, self))} {
		chain := contexts.NewChain(n)
		defer chain.Close()
		var calls []*contexts.Pending[int]
		for range 300 {
			calls = append(calls, add.Go(t.Context(), n, 1), twice.Go(t.Context(), n, 1))
		}
		for i, p := range calls {
			want := i/2*3 + 1 + i%2*2
			if got, err := p.Wait(); err != nil || got != want {
				t.Fatalf("call %d in %v returned %d, %v; want %d", i, n, got, err, want)
			}
		}
		calls = nil
		for range 50 {
			calls = append(calls, add.Go(t.Context(), chain, 0), twice.Go(t.Context(), n, 0))
		}
		for i, p := range calls {
			if _, err := p.Wait(); err != nil {
				t.Fatalf("call %d in %v, half of them in a chain: %v", i, n, err)
			}
		}
	}
}

// Callers with equal arguments share a run of a SingleFlight method. One that gives up does not
// end it for the others. When the last has left, its ctx ends, and the next run waits for its end.
func TestServiceSingleFlight(t *testing.T) {
	for name, method := range map[string]*contexts.Method[*tally, job, int32]{"concurrent": once, "serial": turns} {
		t.Run(name, func(t *testing.T) {
			type run struct {
				ctx context.Context
				end chan error
			}
			runs := make(chan run)
			hook(t, &hooks.work, func(ctx context.Context, in job) error {
				r := run{ctx, make(chan error)}
				runs <- r
				return <-r.end
			})
			self := start(t, nil)
			arg := func() job {
				return job{"same", map[string]int{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}}
			}
			ctx, cancel := context.WithCancel(t.Context())
			impatient := method.Go(ctx, self, arg())
			first := <-runs
			var calls []*contexts.Pending[int32]
			for range 30 {
				calls = append(calls, method.Go(t.Context(), self, arg()))
			}
			eventually(t, "the callers take part", func() bool { return contexts.SharersOf(tallies, self) == 31 })
			cancel()
			if _, err := impatient.Wait(); !errors.Is(err, context.Canceled) {
				t.Errorf("the caller that gave up has %v, want %v", err, context.Canceled)
			}
			eventually(t, "the caller has left", func() bool { return contexts.SharersOf(tallies, self) == 30 })
			if first.ctx.Err() != nil {
				t.Errorf("the run was told %v although callers wait, want nothing", context.Cause(first.ctx))
			}
			first.end <- fs.ErrExist
			for i, p := range calls {
				if _, err := p.Wait(); !errors.Is(err, fs.ErrExist) {
					t.Fatalf("caller %d of the shared run has %v, want its error %v", i, err, fs.ErrExist)
				}
			}

			ctx, cancel = context.WithCancel(t.Context())
			lonely := method.Go(ctx, self, arg())
			second := <-runs
			cancel()
			if _, err := lonely.Wait(); !errors.Is(err, context.Canceled) {
				t.Errorf("the only caller has %v, want %v", err, context.Canceled)
			}
			<-second.ctx.Done()
			next := method.Go(t.Context(), self, arg())
			awaitArrival(t, self)
			select {
			case <-runs:
				t.Fatal("the next run has begun before the one that was left has ended")
			default:
			}
			second.end <- nil
			third := <-runs
			third.end <- nil
			if n, err := next.Wait(); err != nil || n != 3 {
				t.Errorf("the next call returned %d, %v; want that it is the third run", n, err)
			}
		})
	}
}

// Arguments that differ have runs of their own, at the same time.
func TestServiceFlightsOfOtherArguments(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	hook(t, &hooks.work, func(ctx context.Context, in job) error {
		both.Done()
		both.Wait() // forever, if they did not run at the same time
		return nil
	})
	self := start(t, nil)
	a, b := once.Go(t.Context(), self, job{Name: "a"}), once.Go(t.Context(), self, job{Name: "b"})
	for _, p := range []*contexts.Pending[int32]{a, b} {
		if n, err := p.Wait(); err != nil || n != 1 {
			t.Errorf("the call returned %d, %v; want a run of its own", n, err)
		}
	}
}

// A panic of a shared run is the error of all its callers.
func TestServiceFlightPanics(t *testing.T) {
	begun, proceed := make(chan struct{}), make(chan struct{})
	hook(t, &hooks.work, func(context.Context, job) error {
		close(begun)
		<-proceed
		panic("ouch")
	})
	self := start(t, nil)
	a := once.Go(t.Context(), self, job{})
	<-begun
	b := once.Go(t.Context(), self, job{})
	eventually(t, "both take part", func() bool { return contexts.SharersOf(tallies, self) == 2 })
	close(proceed)
	for _, p := range []*contexts.Pending[int32]{a, b} {
		_, err := p.Wait()
		if e, ok := errors.AsType[*contexts.PanicError](err); !ok || e.Value != "ouch" {
			t.Errorf("a caller of the run that panics has %v, want a *contexts.PanicError", err)
		}
	}
}

// A call that would wait for its own caller is an error at once. Others from within are fine.
func TestServiceCallsItself(t *testing.T) {
	self := start(t, nil)
	n := child(t, self)
	for name, err := range map[string]error{
		"Serial to Serial":                func() error { _, err := toSelf.Call(t.Context(), n, 1); return err }(),
		"SingleFlight, the same argument": func() error { _, err := forever.Call(t.Context(), n, 1); return err }(),
	} {
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: the call ended with %v, want an error at once", name, err)
		}
		t.Log(err)
	}
	if got, err := fib.Call(t.Context(), n, 12); err != nil || got != 144 {
		t.Errorf("SingleFlight with other arguments: got %d, %v; want 144", got, err)
	}
	if _, err := cast.Call(t.Context(), n, 7); err != nil {
		t.Errorf("Serial to Serial without a reply: %v, want no error", err)
	}
	if got, err := add.Call(t.Context(), n, 0); err != nil || got != 7 {
		t.Errorf("after that the sum is %d, %v; want 7", got, err)
	}
	// Another context than its own may be waited for.
	for name, use := range map[string]func(ctx context.Context) error{
		"a method": func(ctx context.Context) error { _, err := where.Call(ctx, contexts.Self(ctx), struct{}{}); return err },
		"Start":    func(ctx context.Context) error { return tallies.Start(ctx, contexts.Self(ctx)) },
		"Object": func(ctx context.Context) error {
			_, err := tallies.Object(ctx, contexts.Self(ctx))
			return err
		},
	} {
		hook(t, &hooks.make, func(ctx context.Context) error {
			if _, err := where.Call(ctx, n, struct{}{}); err != nil {
				return fmt.Errorf("elsewhere: %w", err)
			}
			if err := use(ctx); err == nil {
				return errors.New("there was no error")
			}
			return nil
		})
		if err := tallies.Start(t.Context(), start(t, nil)); err != nil {
			t.Errorf("a making that uses %s of its own service: %v; want an error at once, and none elsewhere", name, err)
		}
	}
	hooks.make.Store(nil)
	// After the making, goroutines of the object may call it with its ctx.
	o := must(tallies.Object(t.Context(), self))
	if _, err := where.Call(o.life, self, struct{}{}); err != nil {
		t.Errorf("a call with the object's ctx ended with %v, want no error", err)
	}
}

// Authority is that of each method. Only a context itself and its ancestors start a service.
func TestServiceAuthority(t *testing.T) {
	self := start(t, nil)
	n := child(t, self)
	tryUp := func(which string) error {
		_, err := tryService.Call(t.Context(), n, attempt{which, self})
		return err
	}
	for which, allowed := range map[string]bool{"add": true, "where": true, "twice": false, "once": false, "start": false, "register": false} {
		if err := tryUp(which); allowed != (err == nil) || !allowed && !errors.Is(err, contexts.ErrRefused) {
			t.Errorf("%s by a descendant ended with %v; allowed: %v", which, err, allowed)
		}
	}
}

type attempt struct {
	Which string
	On    *contexts.Node
}

// tryService uses the service of another context in one way.
var tryService = contexts.NewFunc("test.service.try", func(ctx context.Context, a attempt) (s string, err error) {
	switch a.Which {
	case "add":
		_, err = add.Call(ctx, a.On, 1)
	case "where":
		return where.Call(ctx, a.On, struct{}{})
	case "nearest":
		return where.Call(ctx, contexts.Nearest(a.On.Local()), struct{}{})
	case "nearest twice":
		_, err = twice.Call(ctx, contexts.Nearest(a.On.Local()), 1)
	case "nearest hang":
		_, err = hang.Call(ctx, contexts.Nearest(a.On.Local()), struct{}{})
	case "twice":
		_, err = twice.Call(ctx, a.On, 1)
	case "once":
		_, err = once.Call(ctx, a.On, job{})
	case "start":
		err = tallies.Start(ctx, a.On)
	case "register":
		err = tallies.Register(ctx, a.On, contexts.Self(ctx))
	}
	return s, err
})

// A method's deadline is its caller's. A shared run has none, and its caller leaves by its own.
func TestServiceDeadlines(t *testing.T) {
	self := start(t, nil)
	deadlines := make(chan bool, 2)
	hook(t, &hooks.work, func(ctx context.Context, _ job) error {
		_, has := ctx.Deadline()
		deadlines <- has
		<-ctx.Done()
		return ctx.Err()
	})
	for method, has := range map[*contexts.Method[*tally, job, int32]]bool{beat: true, once: false} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := method.Call(ctx, self, job{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s ended with %v, want %v", method.Name(), err, context.DeadlineExceeded)
		}
		if got := <-deadlines; got != has {
			t.Errorf("the ctx of %s has a deadline: %v, want %v", method.Name(), got, has)
		}
	}
}
