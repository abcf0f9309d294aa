// Package patience decides when a command that ignores signals is killed. The command line and
// the shim share it.
package patience

import "os"

// ignored is how many signals of a kind a command may ignore. The next one kills it.
const ignored = 2

// Signals counts the signals that were passed on to one command. The zero value has
// counted none.
type Signals struct{ seen map[os.Signal]int }

// Count counts a signal. It reports whether the signal is the first of its kind, and whether
// the command has ignored so many that it has to be killed.
func (s *Signals) Count(sig os.Signal) (first, enough bool) {
	if s.seen == nil {
		s.seen = make(map[os.Signal]int)
	}
	s.seen[sig]++
	return s.seen[sig] == 1, s.seen[sig] > ignored
}
