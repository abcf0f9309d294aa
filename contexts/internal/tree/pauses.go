package tree

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
)

// Pauses are the times between the attempts to connect a managed host: see
// ManagedHostConfig.MinDelay of package contexts. An attempt that nobody answers is cheap.
// Each of the others is a login, and a server may accept only so many.
type Pauses struct {
	since    time.Time // when the host was lost, or was used first
	failures int       // counts the attempts since then that were answered and failed
	deaf     bool      // nobody has answered the last attempt
}

// Begin starts anew: the host has just been lost, or is used for the first time.
func (p *Pauses) Begin() { *p = Pauses{since: time.Now()} }

// Failed counts an attempt that failed. deaf says that nobody answered it.
func (p *Pauses) Failed(deaf bool) {
	if p.deaf = deaf; !deaf {
		p.failures++
	}
}

// Died counts a context that was lost as soon as it was connected.
func (p *Pauses) Died() { *p = Pauses{since: time.Now(), failures: p.failures + 1} }

// NobodyAnswers reports whether a hop failed because nobody answered. at is how far it had
// come.
func NobodyAnswers(err error, at bootstrap.Progress) bool {
	for _, class := range []error{connect.ErrRefused, connect.ErrUnreachable, connect.ErrNoHost} {
		if errors.Is(err, class) {
			return true
		}
	}
	return at.Phase == connect.PhaseDial && errors.Is(err, connect.ErrTimeout)
}

// Next returns the time to the next attempt. least and longest are MinDelay and MaxDelay.
func (p *Pauses) Next(least, longest time.Duration) time.Duration {
	most := least
	switch {
	case p.deaf:
		most = max(most, time.Since(p.since)/4)
	case p.failures == 0:
		return 0
	}
	for n := 1; !p.deaf && n < p.failures && most < longest; n++ {
		most *= 2
	}
	return rand.N(min(most, longest) + 1)
}
