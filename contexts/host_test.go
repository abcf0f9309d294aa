package contexts

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/internal/tree"
	"github.com/mitosis-go/mitosis/core"
)

// fakeHost is a managed host whose other side is the test.
type fakeHost struct {
	*ManagedHost
	t *testing.T

	// Guarded by fakeMu.
	fakeMu sync.Mutex
	down   error         // why attempts fail, nil: they do not
	slow   time.Duration // that an attempt takes
	boot   string
	at     []time.Time // of attempts
	now    *Node
}

func newFakeHost(t *testing.T, cfg ManagedHostConfig) *fakeHost {
	l := &local{log: slog.New(slog.DiscardHandler), Lifetime: new(tree.Lifetime)}
	l.Ctx, l.Cancel = context.WithCancelCause(t.Context())
	f := &fakeHost{t: t, boot: "first"}
	f.ManagedHost = newHost(l, "fake", nil, nil, &cfg)
	f.hang = func(n *Node) error { f.lose(ErrClosed); return nil }
	f.dial = func(ctx context.Context) (*Node, string, error) {
		f.fakeMu.Lock()
		defer f.fakeMu.Unlock()
		f.at = append(f.at, time.Now())
		if slow := f.slow; slow > 0 {
			f.fakeMu.Unlock()
			passed := sleep(ctx, slow)
			f.fakeMu.Lock()
			if !passed {
				return nil, "", ctx.Err()
			}
		}
		if f.down != nil {
			return nil, "", f.down
		}
		f.now = &Node{self: l, id: 1, path: "fake", life: &life{done: make(chan struct{})}}
		return f.now, f.boot, nil
	}
	return f
}

// lose ends the context there is.
func (f *fakeHost) lose(err error) {
	f.fakeMu.Lock()
	defer f.fakeMu.Unlock()
	f.now.life.err = err
	close(f.now.life.done)
}

// later changes the far side in a while.
func (f *fakeHost) later(d time.Duration, change func()) {
	time.AfterFunc(d, func() { f.change(change) })
}

func (f *fakeHost) connect() (*Node, error) { return f.Connect(f.t.Context()) }

// change changes the far side.
func (f *fakeHost) change(change func()) {
	f.fakeMu.Lock()
	defer f.fakeMu.Unlock()
	change()
}

// attempts are the times at which the host was connected.
func (f *fakeHost) attempts() []time.Time {
	f.fakeMu.Lock()
	defer f.fakeMu.Unlock()
	return slices.Clone(f.at)
}

// context is the one there is, or was last.
func (f *fakeHost) context() *Node {
	f.fakeMu.Lock()
	defer f.fakeMu.Unlock()
	return f.now
}

// must connects.
func (f *fakeHost) must() *Node {
	f.t.Helper()
	n, err := f.connect()
	if err != nil || n != f.context() {
		f.t.Fatalf("%v, %v", n, err)
	}
	return n
}

// inFakeTime runs a test in which no goroutine may be left.
func inFakeTime(t *testing.T, cfg ManagedHostConfig, test func(t *testing.T, f *fakeHost)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeHost(t, cfg)
		test(t, f)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestHostIsConnectedOnFirstUseAndOnce(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{}, func(t *testing.T, f *fakeHost) {
		f.change(func() { f.slow = time.Second })
		synctest.Wait()
		if len(f.attempts()) != 0 {
			t.Fatal("it was connected before anybody used it")
		}
		results := make(chan *Node, 10)
		for range cap(results) {
			go func() { results <- f.must() }()
		}
		for range cap(results) {
			if n := <-results; n != f.context() {
				t.Error("another context")
			}
		}
		if len(f.attempts()) != 1 {
			t.Errorf("%d attempts", len(f.attempts()))
		}
	})
}

func TestHostComesBackAtOnceAfterALoss(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{}, func(t *testing.T, f *fakeHost) {
		first := f.must()
		time.Sleep(time.Minute)
		lost := time.Now()
		f.lose(ErrGone)
		synctest.Wait()
		if f.must() == first || !time.Now().Equal(lost) {
			t.Error("no new context, or not at once")
		}
	})
}

func TestHostPausesAreJitteredAndBounded(t *testing.T) {
	const low, high = time.Second, 8 * time.Second
	inFakeTime(t, ManagedHostConfig{Wait: time.Hour, MinDelay: low, MaxDelay: high}, func(t *testing.T, f *fakeHost) {
		f.change(func() { f.down = connect.ErrRefused })
		f.later(20*time.Minute, func() { f.down = nil })
		f.must()
		at := f.attempts()
		most, different := low, map[time.Duration]bool{}
		for i := range at[1:] {
			pause := at[i+1].Sub(at[i])
			if pause > most {
				t.Errorf("pause %d is %v, at most %v", i, pause, most)
			}
			different[pause] = true
			most = min(2*most, high)
		}
		// 20 minutes of 4 s on average.
		if n := len(at); n < 200 || n > 450 || len(different) < n/2 {
			t.Errorf("%d attempts, %d different pauses", n, len(different))
		}
	})
}

// A host is found within a quarter of the time that it was away, and a little: also
// if it was lost before, had been away for long then, and died at birth in between.
func TestHostIsFoundSoonAfterItIsBack(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{Wait: time.Hour}, func(t *testing.T, f *fakeHost) {
		f.must()
		for range 10 {
			for _, away := range []time.Duration{time.Second, 10 * time.Second, 40 * time.Second, 90 * time.Second} {
				f.change(func() { f.down = connect.ErrRefused })
				f.later(away, func() { f.down = nil })
				f.lose(ErrGone)
				synctest.Wait()
				start := time.Now()
				f.must()
				if took, most := time.Since(start), away+away*3/10+time.Second; took < away || took > most {
					t.Errorf("back after %v, away for %v, wanted at most %v", took, away, most)
				}
				f.change(func() { f.down = connect.ErrRefused })
				f.later(10*time.Second, func() { f.down = nil })
				f.lose(ErrGone) // at birth
				synctest.Wait()
				start = time.Now()
				f.must()
				if took := time.Since(start); took > 14*time.Second {
					t.Errorf("back after %v, away for 10s once more after %v", took, away)
				}
				time.Sleep(time.Minute)
			}
		}
		if n := len(f.attempts()); n > 3000 {
			t.Errorf("%d attempts", n)
		}
	})
}

// A machine that boots takes no connection for a minute, and does not say so. It is asked
// often enough to be found soon after.
func TestHostThatIsSilentIsDialledAgain(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{Wait: time.Hour}, func(t *testing.T, f *fakeHost) {
		f.must()
		time.Sleep(time.Minute)
		var up time.Time // when it answers again
		dial := f.dial
		f.dial = func(ctx context.Context) (*Node, string, error) {
			tree.ProgressOf(ctx).Note(bootstrap.Progress{Phase: connect.PhaseDial})
			// As the kernel asks: the answer comes to the first question after the start.
			began := time.Now()
			for _, asked := range []time.Duration{0, 1, 3, 7, 15, 31, 63} {
				if !sleep(ctx, time.Until(began.Add(asked*time.Second))) {
					return nil, "", context.Cause(ctx)
				}
				if time.Now().After(up) {
					return dial(ctx)
				}
			}
			return nil, "", connect.ErrTimeout
		}
		for _, down := range []time.Duration{20 * time.Second, 40 * time.Second, 61 * time.Second, 100 * time.Second} {
			up = time.Now().Add(down)
			start := time.Now()
			f.lose(ErrGone)
			synctest.Wait()
			f.must()
			if took, most := time.Since(start), down+down*3/10+5*time.Second; took < down || took > most {
				t.Errorf("back after %v, down for %v, wanted at most %v", took, down, most)
			}
			time.Sleep(time.Minute)
		}
	})
}

// Where somebody answers, and fails, each attempt is a login: there are few of them.
func TestHostThatAnswersIsNotAskedOften(t *testing.T) {
	for _, reason := range []error{connect.ErrEOF, connect.ErrPermission} {
		inFakeTime(t, ManagedHostConfig{Wait: time.Hour}, func(t *testing.T, f *fakeHost) {
			f.must()
			f.change(func() { f.down = reason })
			f.lose(ErrGone)
			time.Sleep(time.Minute)
			if n := len(f.attempts()); n > 20 {
				t.Errorf("%v: %d attempts within a minute", reason, n)
			}
			f.change(func() { f.down = nil })
			f.must()
		})
	}
}

func TestHostThatDiesAtBirthIsNotConnectedInARow(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{}, func(t *testing.T, f *fakeHost) {
		for range 20 {
			f.must()
			f.lose(ErrGone)
			synctest.Wait()
		}
		at := f.attempts()
		if took := at[len(at)-1].Sub(at[0]); took < 10*time.Second {
			t.Errorf("%d attempts in %v", len(at), took)
		}
	})
}

func TestHostThatIsAwayFailsAtOnceIfAskedTo(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{Wait: -1}, func(t *testing.T, f *fakeHost) {
		f.change(func() { f.slow, f.down = time.Second, connect.ErrRefused })
		// The first use has nothing to go by and waits for one attempt.
		for range 3 {
			start := time.Now()
			_, err := f.connect()
			e, ok := err.(*Error)
			if !ok || e.Path != "fake" || !errors.Is(err, ErrUnavailable) || !errors.Is(err, connect.ErrRefused) {
				t.Fatalf("%v", err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("it took %v", took)
			}
		}
		f.change(func() { f.down = nil })
		time.Sleep(time.Minute)
		f.must()
	})
}

func TestHostIsAwaitedAsLongAsConfigured(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{Wait: time.Minute}, func(t *testing.T, f *fakeHost) {
		f.change(func() { f.down = connect.ErrTimeout })
		start := time.Now()
		if _, err := f.connect(); !errors.Is(err, ErrUnavailable) || !errors.Is(err, connect.ErrTimeout) || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start = time.Now()
		if _, err := f.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) || time.Since(start) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestHostAttemptIsBounded(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{Attempt: time.Second, Wait: time.Minute}, func(t *testing.T, f *fakeHost) {
		f.change(func() { f.slow = time.Hour })
		if _, err := f.connect(); !errors.Is(err, ErrUnavailable) || len(f.attempts()) < 2 {
			t.Errorf("%d attempts, %v", len(f.attempts()), err)
		}
	})
}

// An attempt in which something moves is not given up, however long it takes; one that
// stands still is, at any point.
func TestHostAttemptIsASilence(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{Attempt: 5 * time.Second, Wait: time.Hour}, func(t *testing.T, f *fakeHost) {
		const size = 2_100_000
		dial := f.dial
		send := func(ctx context.Context, until int64) error {
			p := tree.ProgressOf(ctx)
			for sent := int64(0); sent < until; sent += 32 << 10 {
				if !sleep(ctx, 4*time.Second) {
					return context.Cause(ctx)
				}
				p.Note(bootstrap.Progress{Phase: bootstrap.PhaseImage, Sent: sent, Size: size})
			}
			return nil
		}
		f.dial = func(ctx context.Context) (*Node, string, error) {
			if len(f.attempts()) == 0 {
				// The first stands still half-way.
				_ = send(ctx, size/2)
				dial(ctx)
				<-ctx.Done()
				return nil, "", context.Cause(ctx)
			}
			if err := send(ctx, size); err != nil {
				return nil, "", err
			}
			return dial(ctx)
		}
		start := time.Now()
		f.must()
		if took := time.Since(start); len(f.attempts()) != 2 || took < 3*time.Minute || took > 8*time.Minute {
			t.Errorf("%d attempts in %v", len(f.attempts()), took)
		}
	})
}

func TestHostGivesUpOnWhatOnlyAPersonCanChange(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{}, func(t *testing.T, f *fakeHost) {
		for i, reason := range []error{connect.ErrPassword, connect.ErrHostKeyChanged, ErrTooDeep, &lasting{ErrGone}} {
			f.change(func() { f.down = reason })
			if _, err := f.connect(); !errors.Is(err, reason) && i < 3 || err == nil || errors.Is(err, ErrUnavailable) {
				t.Errorf("%v", err)
			}
			time.Sleep(time.Hour)
			if len(f.attempts()) != i+1 {
				t.Errorf("%d attempts after %v", len(f.attempts()), reason)
			}
		}
		f.change(func() { f.down = nil })
		f.must()
	})
}

// A host that has been there comes back from more than one that was never reached.
func TestHostThatWasThereIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		reason        error
		first, second bool // whether it is waited for before it was there, and afterwards
	}{
		{connect.ErrRefused, true, true}, {connect.ErrUnreachable, true, true}, {connect.ErrResolver, true, true},
		{connect.ErrEOF, true, true}, {ErrGone, true, true}, {ErrUnavailable, true, true},
		{connect.ErrNoHost, false, true}, {connect.ErrPermission, false, true}, {connect.ErrNoContainer, false, true},
		{errors.New("something else"), false, true},
		{connect.ErrPassword, false, false}, {connect.ErrHostKeyChanged, false, false},
	} {
		inFakeTime(t, ManagedHostConfig{Wait: time.Minute}, func(t *testing.T, f *fakeHost) {
			try := func(when string, want bool) {
				f.change(func() { f.down = c.reason })
				f.later(30*time.Second, func() { f.down = nil })
				if _, err := f.connect(); (err == nil) != want || err != nil && !errors.Is(err, c.reason) {
					t.Errorf("%v, %s: %v; waited for: wanted %v", c.reason, when, err, want)
				}
				time.Sleep(2 * time.Minute)
			}
			try("before it was there", c.first)
			f.must()
			f.change(func() { f.down = c.reason }) // before it is connected again
			f.lose(ErrGone)
			try("afterwards", c.second)
		})
	}
}

// The errors of a host name its path once, however its attempts failed.
func TestHostErrorsNameThePathOnce(t *testing.T) {
	for _, wait := range []time.Duration{-1, time.Minute} {
		for _, reason := range []error{connect.ErrPassword, connect.ErrRefused} {
			inFakeTime(t, ManagedHostConfig{Wait: wait}, func(t *testing.T, f *fakeHost) {
				f.change(func() {
					f.down = &Error{Op: "connect", Path: "fake", Kind: core.KindConnect, Err: reason}
				})
				_, err := f.connect()
				if !errors.Is(err, reason) || strings.Count(err.Error(), "fake") != 1 {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

func TestHostIsKnownByItsBoot(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{Wait: -1}, func(t *testing.T, f *fakeHost) {
		f.must()
		before := f.Boot()
		// It goes on for a while after it was told, and its server even takes one
		// more connection before it is down for a minute.
		time.AfterFunc(5*time.Second, func() { f.lose(ErrGone) })
		time.AfterFunc(6*time.Second, func() { f.lose(ErrGone) })
		f.later(5500*time.Millisecond, func() { f.down = connect.ErrRefused })
		f.later(time.Minute, func() { f.down, f.boot = nil, "second" })
		start := time.Now()
		n, err := f.WaitReboot(t.Context(), before)
		if err != nil || n != f.context() || f.Boot() != "second" || time.Since(start) < time.Minute {
			t.Errorf("after %v: %v, %v", time.Since(start), n, err)
		}
		if again, err := f.WaitReboot(t.Context(), before); again != n || err != nil {
			t.Errorf("%v, %v", again, err)
		}
		// Where a boot has no name, a new context is all that can be told.
		f.change(func() { f.boot = "" })
		time.Sleep(time.Minute)
		f.lose(ErrGone)
		synctest.Wait()
		n = f.must()
		time.AfterFunc(time.Second, func() { f.lose(ErrGone) })
		if again, err := f.WaitReboot(t.Context(), ""); again == n || err != nil {
			t.Errorf("%v, %v", again, err)
		}
	})
}

func TestHostMayBeUsedAfterItWasClosed(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{}, func(t *testing.T, f *fakeHost) {
		first := f.must()
		if err := f.Close(); err != nil || first.Err() == nil {
			t.Error(err)
		}
		second := f.must()
		f.lose(ErrClosed) // by Node.Close: that is no loss
		synctest.Wait()
		time.Sleep(time.Hour)
		if len(f.attempts()) != 2 {
			t.Errorf("%d attempts", len(f.attempts()))
		}
		if f.must() == second {
			t.Error("no new context")
		}
		// Those who wait when it is closed are told.
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		f.change(func() { f.slow = time.Hour })
		waiting := make(chan error)
		go func() {
			_, err := f.connect()
			waiting <- err
		}()
		synctest.Wait()
		if err := errors.Join(f.Close(), f.Close()); err != nil {
			t.Error(err)
		}
		if err := <-waiting; !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

func TestHostEndsWithTheTree(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{}, func(t *testing.T, f *fakeHost) {
		f.must()
		f.l.Cancel(errShutdown)
		synctest.Wait()
		if f.context().Err() != nil {
			t.Error("the host closed what the tree closes")
		}
		if _, err := f.connect(); !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}
