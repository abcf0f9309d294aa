package tree

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
)

// While an image is packed or sent, a longer silence is allowed. A busy machine packs slowly, and
// bytes that the pipe has accepted may take a while to arrive.
func TestSilenceIsLongerBehindAnImage(t *testing.T) {
	for name, c := range map[string]struct {
		at   bootstrap.Progress
		near bool
		want time.Duration
	}{
		"under way":        {bootstrap.Progress{Phase: bootstrap.PhaseImage, Sent: 1 << 20, Size: 2 << 20}, false, 5 * time.Second},
		"all of it":        {bootstrap.Progress{Phase: bootstrap.PhaseHello, Sent: 2 << 20, Size: 2 << 20}, false, 69 * time.Second},
		"on the same host": {bootstrap.Progress{Phase: bootstrap.PhaseHello, Sent: 2 << 20, Size: 2 << 20}, true, 5 * time.Second},
		"being packed":     {bootstrap.Progress{Phase: bootstrap.PhasePrepare}, false, 5*time.Second + PrepareTime},
		"it has arrived":   {bootstrap.Progress{Phase: bootstrap.PhaseHello}, false, 5 * time.Second},
		"a lie":            {bootstrap.Progress{Phase: bootstrap.PhaseHello, Sent: 1 << 62, Size: 1 << 62}, false, 5*time.Second + 2048*time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			ctx, p, stop := WithProgress(t.Context(), 5*time.Second)
			defer stop()
			p.near = c.near
			p.Note(c.at)
			<-ctx.Done()
			if took := time.Since(start); took != c.want {
				t.Errorf("%s: the hop was given up after %v, want %v", name, took, c.want)
			}
			if err := context.Cause(ctx); !connect.Temporary(err) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: the cause is %v, want a temporary %v", name, err, context.DeadlineExceeded)
			}
		})
	}
}

// A connect that waits for others to log in at the server does not stand still. It may once it
// has its turn.
func TestTheTurnOfOthersIsNoSilence(t *testing.T) {
	for _, turn := range []string{connect.PhaseTurn, connect.PhaseTurn + " with jump host bastion"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, p, stop := WithProgress(t.Context(), 5*time.Second)
			defer stop()
			p.Note(bootstrap.Progress{Phase: bootstrap.Phase(turn)})
			time.Sleep(time.Hour)
			if err := ctx.Err(); err != nil {
				t.Fatalf("%q: given up with %v, want it to wait", turn, err)
			}
			start := time.Now()
			p.Note(bootstrap.Progress{Phase: connect.PhaseDial})
			<-ctx.Done()
			if took := time.Since(start); took != 5*time.Second {
				t.Errorf("%q: given up %v after its turn, want 5s", turn, took)
			}
		})
	}
}
