package core

import "time"

// A Meter is a token bucket: it bounds a rate. The zero value is a full bucket. Only one
// goroutine at a time may use it.
type Meter struct {
	spent float64 // of the burst, at the time of last
	last  time.Time
}

// Take takes n tokens, and reports whether there were so many. If there were not, it takes
// none. rate tokens are added each second, until there are burst. Times must not go
// backwards.
func (m *Meter) Take(now time.Time, n, rate, burst float64) bool {
	m.spent = max(0, m.spent-now.Sub(m.last).Seconds()*rate)
	m.last = now
	if m.spent+n > burst {
		return false
	}
	m.spent += n
	return true
}
