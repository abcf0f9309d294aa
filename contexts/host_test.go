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

// fakeHost is a managed host whose far side is played by the test.
type fakeHost struct {
	*ManagedHost
	t *testing.T

	// Guarded by fakeMu.
	fakeMu sync.Mutex
	down   error         // the error of attempts; nil if they succeed
	slow   time.Duration // the time that an attempt takes
	boot   string
	at     []time.Time // the times of attempts
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

// lose ends the present context of the host with an error.
func (f *fakeHost) lose(err error) {
	f.fakeMu.Lock()
	defer f.fakeMu.Unlock()
	f.now.life.err = err
	close(f.now.life.done)
}

// later changes the far side after a time.
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

// attempts returns the times of all attempts to connect the host.
func (f *fakeHost) attempts() []time.Time {
	f.fakeMu.Lock()
	defer f.fakeMu.Unlock()
	return slices.Clone(f.at)
}

// context returns the present context of the host, or the last one.
func (f *fakeHost) context() *Node {
	f.fakeMu.Lock()
	defer f.fakeMu.Unlock()
	return f.now
}

// must connects the host and returns its context. It fails the test if that fails.
func (f *fakeHost) must() *Node {
	f.t.Helper()
	n, err := f.connect()
	if err != nil || n != f.context() {
		f.t.Fatalf("Connect returned %v, %v, want the context of the last attempt, %v", n, err, f.context())
	}
	return n
}

// inFakeTime runs a test of a host in fake time. It may leave no goroutine.
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
			t.Fatal("the host was connected before its first use, want no attempt")
		}
		results := make(chan *Node, 10)
		for range cap(results) {
			go func() { results <- f.must() }()
		}
		for range cap(results) {
			if n := <-results; n != f.context() {
				t.Errorf("a use got the context %v, want that of the one attempt, %v", n, f.context())
			}
		}
		if len(f.attempts()) != 1 {
			t.Errorf("there were %d attempts, want 1", len(f.attempts()))
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
			t.Errorf("after the loss the context is the old one, or took %v, want a new one at once", time.Since(lost))
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
				t.Errorf("pause %d is %v, want at most %v", i, pause, most)
			}
			different[pause] = true
			most = min(2*most, high)
		}
		// 20 minutes of pauses of 4 s on average.
		if n := len(at); n < 200 || n > 450 || len(different) < n/2 {
			t.Errorf("there were %d attempts with %d different pauses, want 200 to 450 attempts, and half as many pauses", n, len(different))
		}
	})
}

// A host that is back is found within a quarter of the time that it was away, and a little more.
// That holds even if it was away for long before, and was lost right after a connect in between.
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
					t.Errorf("the host was away for %v and found after %v, want at most %v", away, took, most)
				}
				f.change(func() { f.down = connect.ErrRefused })
				f.later(10*time.Second, func() { f.down = nil })
				f.lose(ErrGone) // right after the connect
				synctest.Wait()
				start = time.Now()
				f.must()
				if took := time.Since(start); took > 14*time.Second {
					t.Errorf("after being away for %v the host was away for 10s again and found after %v, want at most 14s", away, took)
				}
				time.Sleep(time.Minute)
			}
		}
		if n := len(f.attempts()); n > 3000 {
			t.Errorf("there were %d attempts, want at most 3000", n)
		}
	})
}

// A machine that boots leaves connections unanswered for a minute. It is dialled often enough to
// be found soon after that.
func TestHostThatIsSilentIsDialledAgain(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{Wait: time.Hour}, func(t *testing.T, f *fakeHost) {
		f.must()
		time.Sleep(time.Minute)
		var up time.Time // when it answers again
		dial := f.dial
		f.dial = func(ctx context.Context) (*Node, string, error) {
			tree.ProgressOf(ctx).Note(bootstrap.Progress{Phase: connect.PhaseDial})
			// The kernel sends a SYN at these seconds. The machine answers the first one
			// after its start.
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
				t.Errorf("the machine was down for %v and found after %v, want at most %v", down, took, most)
			}
			time.Sleep(time.Minute)
		}
	})
}

// If the far side answers and the connect fails, each attempt is a login. So there are few
// attempts.
func TestHostThatAnswersIsNotAskedOften(t *testing.T) {
	for _, reason := range []error{connect.ErrEOF, connect.ErrPermission} {
		inFakeTime(t, ManagedHostConfig{Wait: time.Hour}, func(t *testing.T, f *fakeHost) {
			f.must()
			f.change(func() { f.down = reason })
			f.lose(ErrGone)
			time.Sleep(time.Minute)
			if n := len(f.attempts()); n > 20 {
				t.Errorf("%v: there were %d attempts within a minute, want at most 20", reason, n)
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
			t.Errorf("there were %d attempts within %v, want them spread over at least 10s", len(at), took)
		}
	})
}

func TestHostThatIsAwayFailsAtOnceIfAskedTo(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{Wait: -1}, func(t *testing.T, f *fakeHost) {
		f.change(func() { f.slow, f.down = time.Second, connect.ErrRefused })
		// At the first use the state of the host is unknown, so it waits for one attempt.
		for range 3 {
			start := time.Now()
			_, err := f.connect()
			e, ok := err.(*Error)
			if !ok || e.Path != "fake" || !errors.Is(err, ErrUnavailable) || !errors.Is(err, connect.ErrRefused) {
				t.Fatalf("the use ended with %v, want an *Error at fake with %v and %v", err, ErrUnavailable, connect.ErrRefused)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("the error took %v, want at most 1s", took)
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
			t.Errorf("the use ended after %v with %v, want %v and %v after 1m", time.Since(start), err, ErrUnavailable, connect.ErrTimeout)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start = time.Now()
		if _, err := f.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) || time.Since(start) != 10*time.Second {
			t.Errorf("the use ended after %v with %v, want %v and %v after 10s", time.Since(start), err, context.DeadlineExceeded, ErrUnavailable)
		}
	})
}

func TestHostAttemptIsBounded(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{Attempt: time.Second, Wait: time.Minute}, func(t *testing.T, f *fakeHost) {
		f.change(func() { f.slow = time.Hour })
		if _, err := f.connect(); !errors.Is(err, ErrUnavailable) || len(f.attempts()) < 2 {
			t.Errorf("after %d attempts the use ended with %v, want %v after at least 2", len(f.attempts()), err, ErrUnavailable)
		}
	})
}

// An attempt that makes progress is not given up, however long it takes. An attempt without
// progress is given up, at any point.
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
				// The first attempt stops half-way.
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
			t.Errorf("the host was connected by %d attempts in %v, want 2 in 3m to 8m", len(f.attempts()), took)
		}
	})
}

func TestHostGivesUpOnWhatOnlyAPersonCanChange(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{}, func(t *testing.T, f *fakeHost) {
		for i, reason := range []error{connect.ErrPassword, connect.ErrHostKeyChanged, ErrTooDeep, &lasting{ErrGone}} {
			f.change(func() { f.down = reason })
			if _, err := f.connect(); !errors.Is(err, reason) && i < 3 || err == nil || errors.Is(err, ErrUnavailable) {
				t.Errorf("the use ended with %v, want %v and not %v", err, reason, ErrUnavailable)
			}
			time.Sleep(time.Hour)
			if len(f.attempts()) != i+1 {
				t.Errorf("an hour after %v there were %d attempts, want %d", reason, len(f.attempts()), i+1)
			}
		}
		f.change(func() { f.down = nil })
		f.must()
	})
}

// A host that was connected before is waited for after more kinds of errors than a host that was
// never reached.
func TestHostThatWasThereIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		reason        error
		first, second bool // whether the host is waited for before its first connect, and after it
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
					t.Errorf("%v, %s: the use ended with %v, want the host waited for: %v", c.reason, when, err, want)
				}
				time.Sleep(2 * time.Minute)
			}
			try("before it was there", c.first)
			f.must()
			f.change(func() { f.down = c.reason }) // before the host is connected again
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
					t.Errorf("the use ended with %v, want %v with the path fake once", err, reason)
				}
			})
		}
	}
}

func TestHostIsKnownByItsBoot(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{Wait: -1}, func(t *testing.T, f *fakeHost) {
		f.must()
		before := f.Boot()
		// The host goes on for a while after the command to reboot. Its server even accepts
		// one more connection before the host is down for a minute.
		time.AfterFunc(5*time.Second, func() { f.lose(ErrGone) })
		time.AfterFunc(6*time.Second, func() { f.lose(ErrGone) })
		f.later(5500*time.Millisecond, func() { f.down = connect.ErrRefused })
		f.later(time.Minute, func() { f.down, f.boot = nil, "second" })
		start := time.Now()
		n, err := f.WaitReboot(t.Context(), before)
		if err != nil || n != f.context() || f.Boot() != "second" || time.Since(start) < time.Minute {
			t.Errorf("WaitReboot returned %v, %v after %v with the boot %q, want the new context and the boot second after at least 1m", n, err, time.Since(start), f.Boot())
		}
		if again, err := f.WaitReboot(t.Context(), before); again != n || err != nil {
			t.Errorf("a second WaitReboot returned %v, %v, want %v", again, err, n)
		}
		// If boots have no ID, WaitReboot can only wait for a new context.
		f.change(func() { f.boot = "" })
		time.Sleep(time.Minute)
		f.lose(ErrGone)
		synctest.Wait()
		n = f.must()
		time.AfterFunc(time.Second, func() { f.lose(ErrGone) })
		if again, err := f.WaitReboot(t.Context(), ""); again == n || err != nil {
			t.Errorf("WaitReboot without a boot ID returned %v, %v, want a new context", again, err)
		}
	})
}

func TestHostMayBeUsedAfterItWasClosed(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{}, func(t *testing.T, f *fakeHost) {
		first := f.must()
		if err := f.Close(); err != nil || first.Err() == nil {
			t.Errorf("Close returned %v, and the context has the error %v, want nil and an error", err, first.Err())
		}
		second := f.must()
		f.lose(ErrClosed) // as by Node.Close, which is no loss
		synctest.Wait()
		time.Sleep(time.Hour)
		if len(f.attempts()) != 2 {
			t.Errorf("there were %d attempts, want 2: a closed context is not connected again by itself", len(f.attempts()))
		}
		if f.must() == second {
			t.Error("the use after Node.Close got the closed context, want a new one")
		}
		// Uses that wait when the host is closed end with an error.
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
			t.Errorf("the waiting use ended with %v, want %v", err, ErrClosed)
		}
	})
}

func TestHostEndsWithTheTree(t *testing.T) {
	inFakeTime(t, ManagedHostConfig{}, func(t *testing.T, f *fakeHost) {
		f.must()
		f.l.Cancel(errShutdown)
		synctest.Wait()
		if f.context().Err() != nil {
			t.Error("the host has closed its context, want that left to the tree")
		}
		if _, err := f.connect(); !errors.Is(err, ErrClosed) {
			t.Errorf("a use after the end of the tree returned %v, want %v", err, ErrClosed)
		}
	})
}
