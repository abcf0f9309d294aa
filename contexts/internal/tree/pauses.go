package tree

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
)

// Pauses are those between the attempts to connect a host; see ManagedHostConfig.MinDelay of package
// contexts.
// To ask for a connection that nobody takes costs nobody anything; each of the
// others is a login, of which a server may take only so many.
type Pauses struct {
	since    time.Time // when the host was last there, or was wanted first
	failures int       // since then, where somebody answered
	deaf     bool      // nobody has answered the last attempt
}

// Begin is for a host that has been lost, or is wanted, just now.
func (p *Pauses) Begin() { *p = Pauses{since: time.Now()} }

// Failed counts an attempt that failed.
func (p *Pauses) Failed(deaf bool) {
	if p.deaf = deaf; !deaf {
		p.failures++
	}
}

// Died counts a context that was lost as soon as it was there.
func (p *Pauses) Died() { *p = Pauses{since: time.Now(), failures: p.failures + 1} }

// NobodyAnswers reports whether a hop that had come so far failed for that reason.
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
