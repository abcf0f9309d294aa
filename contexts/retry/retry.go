// Package retry tries again what failed for a reason that may pass.
//
// The pauses between attempts grow, and are random from nothing to their bound (full jitter), so
// that those who failed together do not come back together.
package retry

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// A Policy says when and how often something is tried again. The zero value never does. Of is what
// Notify is told of: the one that is tried.
type Policy[Of any] struct {
	// Attempts is how often it is tried in all. Default: 1.
	Attempts int
	// Pause bounds the pause before the second attempt; each further one doubles it, up to
	// MaxPause. Pauses are random. Defaults: 1 s, 1 minute.
	Pause, MaxPause time.Duration
	// AtOnce makes the second attempt without a pause.
	AtOnce bool
	// Elapsed bounds the time from the first attempt to the beginning of the last.
	// Default: none.
	Elapsed time.Duration
	// If reports whether trying again makes sense. Default: where the policy is used says it.
	If func(err error) bool
	// Notify, if not nil, is called before each pause, by several goroutines.
	Notify func(of Of, attempt int, err error, pause time.Duration)
	// Clock is for tests without package synctest. Default: the time of the system.
	Clock Clock
}

// A Clock is the time, and waits for a later one.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or earlier with an error when ctx ends.
	Sleep(ctx context.Context, d time.Duration) error
}

// Do calls try until it succeeds, or the policy or ctx says that it is enough. It returns the
// number of calls and the last error. retryable is the default of If.
func (p *Policy[Of]) Do(ctx context.Context, of Of, retryable func(error) bool, try func() error) (attempts int, err error) {
	clock := p.Clock
	if clock == nil {
		clock = system{}
	}
	if p.If != nil {
		retryable = p.If
	}
	for began := clock.Now(); ; {
		attempts++
		if err = try(); err == nil || ctx.Err() != nil || attempts >= p.Attempts || !retryable(err) {
			return attempts, err
		}
		pause := p.pause(attempts)
		if p.Elapsed > 0 && clock.Now().Sub(began)+pause > p.Elapsed {
			return attempts, err
		}
		if p.Notify != nil {
			p.Notify(of, attempts, err, pause)
		}
		if clock.Sleep(ctx, pause) != nil {
			return attempts, err
		}
	}
}

// pause returns the time between an attempt that failed and the next.
func (p *Policy[Of]) pause(attempt int) time.Duration {
	if attempt == 1 && p.AtOnce {
		return 0
	}
	base, most := p.Pause, p.MaxPause
	if base <= 0 {
		base = time.Second
	}
	if most <= 0 {
		most = time.Minute
	}
	bound := min(float64(most), float64(base)*math.Pow(2, float64(attempt-1)))
	return time.Duration(rand.Float64() * bound)
}

// system is the clock of the system.
type system struct{}

func (system) Now() time.Time { return time.Now() }

func (system) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
