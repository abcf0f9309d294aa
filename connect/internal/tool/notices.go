package tool

import (
	"context"
	"math"
	"time"

	"github.com/mitosis-go/mitosis/connect"
)

const (
	// noticeSettle is how long a line stands before it is told. If a tool fails, its last
	// lines come right before its end, and are in the error instead.
	noticeSettle = 200 * time.Millisecond
	// forever is longer than any hop takes.
	forever = time.Duration(math.MaxInt64)
)

// notices are lines of a tool for a person to read. They are told after a moment, before a
// question, and when the far side has spoken. They are not told if the tool fails: the error
// has them. The type is pure.
type notices struct {
	lines []string
	since time.Time // of the last one
	total int
}

// add takes lines. Beyond a bound they are dropped; the log has them.
func (n *notices) add(now time.Time, lines ...string) {
	for _, line := range lines {
		if n.total++; n.total > MaxNotices {
			return
		}
		n.lines, n.since = append(n.lines, line), now
	}
}

// due returns the time until they are to be told: forever if there are none.
func (n *notices) due(now time.Time) time.Duration {
	if len(n.lines) == 0 {
		return forever
	}
	return max(0, noticeSettle-now.Sub(n.since))
}

func (n *notices) drain() []string {
	lines := n.lines
	n.lines = nil
	return lines
}

// note takes a line of the tool's standard error.
func (d *dialogue) note(line string) {
	d.mu.Lock()
	d.notices.add(time.Now(), line)
	d.said = true
	d.mu.Unlock()
	d.wake()
}

// tell shows a person the lines that came since the last call.
func (d *dialogue) tell(ctx context.Context) {
	d.mu.Lock()
	lines := d.notices.drain()
	d.mu.Unlock()
	for _, line := range lines {
		TellPerson(ctx, d.notify, d.log, connect.Notice{Path: d.hop, Text: d.secrets.hide(line)})
	}
}
