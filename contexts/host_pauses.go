package contexts

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
)

// pauses are those between the attempts to connect a host; see ManagedHostConfig.MinDelay.
// To ask for a connection that nobody takes costs nobody anything; each of the
// others is a login, of which a server may take only so many.
type pauses struct {
	since    time.Time // when the host was last there, or was wanted first
	failures int       // since then, where somebody answered
	deaf     bool      // nobody has answered the last attempt
}

// begin is for a host that has been lost, or is wanted, just now.
func (p *pauses) begin() { *p = pauses{since: time.Now()} }

// failed counts an attempt that failed.
func (p *pauses) failed(deaf bool) {
	if p.deaf = deaf; !deaf {
		p.failures++
	}
}

// died counts a context that was lost as soon as it was there.
func (p *pauses) died() { *p = pauses{since: time.Now(), failures: p.failures + 1} }

// nobodyAnswers reports whether a hop that had come so far failed for that reason.
func nobodyAnswers(err error, at bootstrap.Progress) bool {
	for _, class := range []error{connect.ErrRefused, connect.ErrUnreachable, connect.ErrNoHost} {
		if errors.Is(err, class) {
			return true
		}
	}
	return at.Phase == connect.PhaseDial && errors.Is(err, connect.ErrTimeout)
}

// next is the time to the next attempt.
func (p *pauses) next(c *ManagedHostConfig) time.Duration {
	most := c.MinDelay
	switch {
	case p.deaf:
		most = max(most, time.Since(p.since)/4)
	case p.failures == 0:
		return 0
	}
	for n := 1; !p.deaf && n < p.failures && most < c.MaxDelay; n++ {
		most *= 2
	}
	return rand.N(min(most, c.MaxDelay) + 1)
}
