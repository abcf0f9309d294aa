package core

import "time"

// A Meter is a token bucket: it holds back what exceeds a rate. Zero is a full one.
// It is not for several goroutines at once.
type Meter struct {
	spent float64 // of the burst, at the time of last
	last  time.Time
}

// Take reports whether something that counts for n may pass now, where rate may pass
// each second, and burst at once after a rest. Something that may not pass takes nothing. Times must
// not go backwards.
func (m *Meter) Take(now time.Time, n, rate, burst float64) bool {
	m.spent = max(0, m.spent-now.Sub(m.last).Seconds()*rate)
	m.last = now
	if m.spent+n > burst {
		return false
	}
	m.spent += n
	return true
}
