package connect

import (
	"errors"
	"fmt"
)

// Elided stands, in what [DryRun] returns, for what is made up or found out when
// a hop is opened: the script of the first stage, tokens, names of containers
// that will be made, process numbers.
const Elided = "..."

// A DryRunner is a method that can tell what it would run.
type DryRunner interface {
	Method

	// DryRun returns the argument vector, without secrets, and runs nothing.
	DryRun() ([]string, error)
}

// DryRun returns the command line that a method would run, program first, so that
// a person can look at it before. It checks the options and runs, looks up and
// opens nothing. The command line has no secrets, since none is ever put into an
// argument. It is that of a hop for which nobody can be asked.
//
// Errors: those of the checks, mostly [ErrBadName], and errors.ErrUnsupported for
// methods that run no program, those of packages ssh and console.
func DryRun(m Method) ([]string, error) {
	if d, ok := m.(DryRunner); ok {
		return d.DryRun()
	}
	return nil, &Error{Hop: m.Label(), Err: fmt.Errorf("%w: it runs no program, or does not tell", errors.ErrUnsupported)}
}
