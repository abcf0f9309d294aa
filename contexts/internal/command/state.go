package command

import (
	"syscall"
	"time"
)

// State is how a process ended. Signals have different numbers on
// different systems, so they have their names with them.
type State struct {
	_            struct{} `cbor:",toarray"`
	PID          int
	Code         int
	Signal       Signal
	Core         bool
	User, System time.Duration
}

// A Signal is one as it travels: its name, and its number where it came
// from, which counts if the name is not known.
type Signal struct {
	_      struct{} `cbor:",toarray"`
	Name   string   // "SIGTERM"; "" if it has none, as the real-time ones
	Number int
}

// NewSignal returns a signal of this system as it travels.
func NewSignal(s syscall.Signal) Signal {
	return Signal{Name: signalName(s), Number: int(s)}
}

// Local returns the signal in the numbers of this system.
func (w Signal) Local() syscall.Signal {
	if s := SignalNumber(w.Name); s != 0 {
		return s
	}
	return syscall.Signal(w.Number)
}
