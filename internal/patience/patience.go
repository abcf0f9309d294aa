// Package patience says when a command that ignores signals is to be ended, for the
// command line and the shim alike.
package patience

import "os"

// ignored is how many signals of a kind a command may ignore. With the next one it is
// killed.
const ignored = 2

// Signals counts the signals that were passed on to one command. The zero value has
// counted none.
type Signals struct{ seen map[os.Signal]int }

// Count counts a signal. It reports whether it is the first of its kind, and whether
// the command has ignored so many that it is to end.
func (s *Signals) Count(sig os.Signal) (first, enough bool) {
	if s.seen == nil {
		s.seen = make(map[os.Signal]int)
	}
	s.seen[sig]++
	return s.seen[sig] == 1, s.seen[sig] > ignored
}
