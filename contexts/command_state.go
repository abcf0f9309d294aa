package contexts

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/command"
	"github.com/mitosis-go/mitosis/core"
)

// ProcessState tells how a command ended.
type ProcessState struct {
	PID int // at the far side
	// Code is the exit status, -1 if the command died by a signal.
	Code int
	// Signal is the signal by which the command died, in the numbers of the system that
	// reads it. 0 means that it did not die by a signal.
	Signal syscall.Signal
	Core   bool // a core dump was made
	// User and System are the processor time of the command and of the children for which
	// it waited.
	User, System time.Duration
}

// Success reports whether the command ended with status 0.
func (s *ProcessState) Success() bool { return s.Signal == 0 && s.Code == 0 }

// ShellStatus returns the end as a shell shows it in $?: the exit status, or 128 plus the
// number of the signal.
func (s *ProcessState) ShellStatus() int {
	if s.Signal != 0 {
		return 128 + int(s.Signal)
	}
	return s.Code
}

// String returns, for example, "exit status 3" or "signal: killed".
func (s *ProcessState) String() string {
	if s == nil {
		return "<nil>"
	}
	text := "exit status " + strconv.Itoa(s.Code)
	if s.Signal != 0 {
		text = "signal: " + s.Signal.String()
	}
	if s.Core {
		text += " (core dumped)"
	}
	return text
}

// ExitError is the end of a command that was not a success.
type ExitError struct {
	ProcessState
	// Stderr is the end of the command's standard error, at most 64 KiB, if Output ran the
	// command and Command.Stderr was nil.
	Stderr []byte
}

// Error implements error.
func (e *ExitError) Error() string { return e.ProcessState.String() }

// wireExit is an ExitError as it travels when a function returns it.
type wireExit struct {
	_      struct{} `cbor:",toarray"`
	State  command.State
	Stderr []byte
}

func (s *ProcessState) wire() command.State {
	return command.State{PID: s.PID, Code: s.Code, Signal: command.NewSignal(s.Signal), Core: s.Core, User: s.User, System: s.System}
}

func stateOf(w *command.State) ProcessState {
	return ProcessState{PID: w.PID, Code: w.Code, Signal: w.Signal.Local(), Core: w.Core, User: w.User, System: w.System}
}

// MarshalCBOR implements cbor.Marshaler.
func (e *ExitError) MarshalCBOR() ([]byte, error) {
	return core.Marshal(wireExit{State: e.wire(), Stderr: e.Stderr})
}

// UnmarshalCBOR implements cbor.Unmarshaler.
func (e *ExitError) UnmarshalCBOR(b []byte) error {
	var w wireExit
	if err := core.Unmarshal(b, &w); err != nil {
		return err
	}
	*e = ExitError{ProcessState: stateOf(&w.State), Stderr: w.Stderr}
	return nil
}

// ParseSignal reads a signal in the ways that kill(1) takes: "TERM", "SIGTERM" or "15".
func ParseSignal(s string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n < 128 {
		return syscall.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if n := command.SignalNumber(name); n != 0 {
		return n, nil
	}
	return 0, fmt.Errorf("%w: %q is no signal", os.ErrInvalid, s)
}
