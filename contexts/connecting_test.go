package contexts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	localhop "github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts/internal/tree"
	"github.com/mitosis-go/mitosis/core"
)

// played is a hop that another context makes. The test decides how it goes.
var played struct {
	sync.Mutex
	do     func(ctx context.Context, p *tree.Progress) (*ProbeResult, error)
	undone int
}

var playedForTest = newConnecting("test.connecting", func(ctx context.Context, _ *local, _ connect.Method, _ bounds) (step, error) {
	played.Lock()
	do := played.do
	played.Unlock()
	offer, err := do(ctx, tree.ProgressOf(ctx))
	return step{Found: offer}, err
}, func(step) {
	played.Lock()
	defer played.Unlock()
	played.undone++
})

// elsewhere runs a test in fake time in which a child of the master makes the hop do.
func elsewhere(t *testing.T, do func(ctx context.Context, p *tree.Progress) (*ProbeResult, error), test func(t *testing.T, self inside, far *Node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		played.Lock()
		played.do, played.undone = do, 0
		played.Unlock()
		self := insideMaster(t)
		far := self.child("far")
		test(t, self, self.node(far.id))
		time.Sleep(5 * time.Minute) // goroutines that hang come to their ends
	})
}

func hopElsewhere(ctx context.Context, self inside, far *Node, b bounds) (*ProbeResult, error) {
	last, err := connecting(ctx, self.local, far, localhop.Child{}, b, playedForTest)
	return last.Found, err
}

var underWay = bootstrap.Progress{Phase: bootstrap.PhaseImage, StartMethod: bootstrap.StartPerl, Sent: 1_200_000, Size: 2_100_000}

// If the far context hangs, the caller's error still names the phase that was under way.
func TestDeadlineElsewhereNamesThePhase(t *testing.T) {
	hangs := func(ctx context.Context, p *tree.Progress) (*ProbeResult, error) {
		p.Note(underWay)
		<-ctx.Done()
		time.Sleep(time.Minute)
		return nil, errors.New("too late")
	}
	elsewhere(t, hangs, func(t *testing.T, self inside, far *Node) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err := hopElsewhere(ctx, self, far, bounds{})
		if want := "connect far/local: sending the image by memfd-perl (1.2 of 2.1 MB): context deadline exceeded"; err == nil || err.Error() != want {
			t.Errorf("the hop ended with %v, want %q", err, want)
		}
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 5*time.Second {
			t.Errorf("the hop ended after %v with %v, want %v after 5s", took, err, context.DeadlineExceeded)
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		_, err = hopElsewhere(ctx, self, far, bounds{})
		if want := "(1.2 of 2.1 MB): context canceled"; err == nil || !strings.HasSuffix(err.Error(), want) || !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled hop ended with %v, want %v that ends in %q", err, context.Canceled, want)
		}
	})
}

// A bound on silence applies at the context that makes the hop. The caller waits for the error of
// that context, but not forever.
func TestSilenceElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		deaf bool
		want time.Duration
		text string
	}{
		"gives up by itself": {false, 15 * time.Second, "what the far side said"},
		"hangs":              {true, 15*time.Second + tree.FarGrace, "sending the image by memfd-perl (1.2 of 2.1 MB)"},
	} {
		stands := func(ctx context.Context, p *tree.Progress) (*ProbeResult, error) {
			for i := range 3 {
				now := underWay
				now.Sent -= int64(2 - i)
				time.Sleep(4 * time.Second)
				p.Note(now)
			}
			time.Sleep(3 * time.Second)
			p.Note(bootstrap.Progress{Phase: underWay.Phase, StartMethod: underWay.StartMethod, Sent: underWay.Sent, Size: underWay.Size + 1})
			if c.deaf {
				time.Sleep(time.Minute)
			}
			<-ctx.Done()
			return nil, fmt.Errorf("what the far side said: %w", context.Cause(ctx))
		}
		elsewhere(t, stands, func(t *testing.T, self inside, far *Node) {
			start := time.Now()
			_, err := hopElsewhere(t.Context(), self, far, bounds{Silence: 5 * time.Second})
			took := time.Since(start) - 5*time.Second
			if !connect.Temporary(err) || !errors.Is(err, connect.ErrTimeout) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: the hop ended with %v, want a temporary %v with %q", name, err, connect.ErrTimeout, c.text)
			}
			// The last step may have arrived a little late.
			if took < c.want || took > c.want+tree.StepEvery {
				t.Errorf("%s: the hop took 5s and %v, want 5s and %v", name, took, c.want)
			}
		})
	}
}

// Texts from another context can't make long errors, and have no control characters, which could
// change a terminal.
func TestPhasesFromElsewhereAreMadeSafe(t *testing.T) {
	for name, said := range map[string]bootstrap.Progress{
		"control characters": {Phase: "\x1b[2J\x1b]0;x\a\r\nroot#\u202e", StartMethod: "\x9b31m\xff"},
		"a long text":        {Phase: bootstrap.Phase(strings.Repeat("x", 1<<20)), StartMethod: strings.Repeat("y", 1<<20)},
		"no numbers":         {Phase: bootstrap.PhaseImage, Sent: -1 << 63, Size: -1},
		"large numbers":      {Phase: bootstrap.PhaseImage, Sent: 1<<63 - 1, Size: 1<<63 - 1},
	} {
		elsewhere(t, func(ctx context.Context, p *tree.Progress) (*ProbeResult, error) {
			p.Note(said)
			<-ctx.Done()
			time.Sleep(time.Minute)
			return nil, nil
		}, func(t *testing.T, self inside, far *Node) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := hopElsewhere(ctx, self, far, bounds{})
			if !errors.Is(err, context.DeadlineExceeded) || len(err.Error()) > 3*tree.MaxWord {
				t.Errorf("%s: the error has %d bytes, %.100q, want %v with at most %d", name, len(err.Error()), err, context.DeadlineExceeded, 3*tree.MaxWord)
			}
			for _, r := range err.Error() {
				if !unicode.IsPrint(r) {
					t.Errorf("%s: the error %q has %q in it, want only printable characters", name, err, r)
				}
			}
		})
	}
}

// Steps about bytes are sent a few times a second. Steps that begin a phase are sent at once.
func TestStepsAreFew(t *testing.T) {
	elsewhere(t, func(ctx context.Context, p *tree.Progress) (*ProbeResult, error) {
		for i := range 10_000 {
			now := underWay
			now.Sent = int64(i)
			p.Note(now)
			time.Sleep(time.Millisecond)
		}
		p.Note(bootstrap.Progress{Phase: bootstrap.PhaseHello})
		time.Sleep(time.Second)
		return &ProbeResult{Facts: Facts{UID: 7}}, nil
	}, func(t *testing.T, self inside, far *Node) {
		var phases []bootstrap.Phase
		steps := 0
		method, err := connect.Encode(localhop.Child{})
		if err != nil {
			t.Fatal(err)
		}
		for s, err := range playedForTest.Call(t.Context(), far, connectRequest{Method: method}) {
			if err != nil {
				t.Fatal(err)
			}
			if steps++; s.Found == nil && (len(phases) == 0 || phases[len(phases)-1] != s.Progress.Phase) {
				phases = append(phases, s.Progress.Phase)
			}
		}
		if most := int(10*time.Second/tree.StepEvery) + 5; steps > most || steps < 10 {
			t.Errorf("%d steps arrived, want 10 to %d", steps, most)
		}
		if len(phases) != 2 || phases[1] != bootstrap.PhaseHello {
			t.Errorf("the phases are %q, want two, the last %q", phases, bootstrap.PhaseHello)
		}
	})
}

// If nobody waits for a hop any more, its late result is undone.
func TestLateHopIsUndone(t *testing.T) {
	elsewhere(t, func(ctx context.Context, p *tree.Progress) (*ProbeResult, error) {
		<-ctx.Done()
		return &ProbeResult{Facts: Facts{UID: 7}}, nil
	}, func(t *testing.T, self inside, far *Node) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := hopElsewhere(ctx, self, far, bounds{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the hop ended with %v, want %v", err, context.DeadlineExceeded)
		}
		time.Sleep(time.Second)
		played.Lock()
		defer played.Unlock()
		if played.undone != 1 {
			t.Errorf("the result was undone %d times, want once", played.undone)
		}
	})
	elsewhere(t, func(context.Context, *tree.Progress) (*ProbeResult, error) {
		return &ProbeResult{Facts: Facts{UID: 7}}, nil
	}, func(t *testing.T, self inside, far *Node) {
		if n, err := hopElsewhere(t.Context(), self, far, bounds{}); err != nil || n.Facts.UID != 7 {
			t.Errorf("the hop returned %v, %v, want the facts of uid 7", n, err)
		}
		time.Sleep(time.Second)
		played.Lock()
		defer played.Unlock()
		if played.undone != 0 {
			t.Errorf("a result that the caller got was undone %d times, want never", played.undone)
		}
	})
}

// If a method panics, the call returns an error, and the context goes on.
func TestPanicElsewhere(t *testing.T) {
	elsewhere(t, func(context.Context, *tree.Progress) (*ProbeResult, error) { panic("no method at all") }, func(t *testing.T, self inside, far *Node) {
		_, err := hopElsewhere(t.Context(), self, far, bounds{})
		if p, ok := errors.AsType[*core.PanicError](err); !ok || p.Value != "no method at all" || !strings.Contains(p.Stack, "connecting_test.go") {
			t.Errorf("the hop ended with %v, want a *core.PanicError with value and stack", err)
		}
		if _, err := far.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
