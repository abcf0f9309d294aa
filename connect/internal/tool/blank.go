package tool

import (
	"cmp"
	"time"
)

// A module of PAM may ask without a text. Then nothing stands on the terminal while the tool
// waits. Where echo is off, the tool certainly waits for input; where it is on, the kernel may tell
// (see waitsFor). Where it does not tell, time has to decide, as with a whole line.

const (
	// blankPatience is how long the terminal may be blank before that is taken for a question, if
	// no system tells whether the tool reads, and echo is on or was left off: some tools leave it
	// off, and slow tools are more frequent than such questions.
	blankPatience = 30 * time.Second
	// blankPoll is the longest time between two looks at a blank terminal.
	blankPoll = 500 * time.Millisecond
)

// NoText stands for such a question in errors.
const NoText = "(no text)"

// shown returns the text of a question for an error.
func (q Question) shown() string { return cmp.Or(q.Text, NoText) }

// waiting says what a tool waits for.
type waiting uint8

const (
	waitsUnknown   waiting = iota
	waitsElsewhere         // for something else
	waitsForInput          // it looks whether its terminal has input, perhaps to pass it on
	waitsReading           // it reads from its terminal
)

// blank is the state of a dialogue in which nothing stands on the terminal.
type blank struct {
	since   time.Time // since when it is seen to be so; zero if something stands there
	hidden  bool      // echo is off
	left    bool      // echo was off when an answer was typed, and was not seen to be on since
	waits   waiting
	refused bool // a person gave no answer to a question that was perhaps none
}

// doubtful reports whether the question is perhaps none.
func (b *blank) doubtful() bool { return !b.hidden && b.waits == waitsUnknown }

// judgeBlank reports whether the tool asks while nothing stands on the terminal. age is the time
// since the last byte or answer. Some tools print a prompt after they have switched echo off, so
// the time counts from then on.
func (d *dialogue) judgeBlank(age time.Duration, hidden bool) bool {
	b := &d.blank
	now := time.Now()
	if b.since.IsZero() || b.hidden != hidden {
		b.since, b.hidden = now, hidden
	}
	age = min(age, now.Sub(b.since))
	if d.quiet || age < promptSettle || !d.screen.inLines() || !d.isBlank() {
		return false
	}
	b.waits = waitsUnknown
	if d.waits != nil {
		b.waits = d.waits()
	}
	switch {
	case b.waits == waitsReading:
		return true
	case b.waits != waitsUnknown, d.busy != nil && d.busy():
		return false
	case hidden && b.left:
		return age >= blankPatience
	case hidden:
		return d.ask != nil || age >= echoPatience
	}
	return d.ask != nil && !b.refused && age >= blankPatience
}

// isBlank reports whether not even a star stands on the terminal.
func (d *dialogue) isBlank() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.line.line) == 0
}
