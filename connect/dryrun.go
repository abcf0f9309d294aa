package connect

import (
	"errors"
	"fmt"
)

// Elided stands in a result of [DryRun] for parts that are only known when the hop is
// opened: the script of the first stage, tokens, names of new containers, process IDs.
const Elided = "..."

// A DryRunner is a method that can tell the command line that it would run.
type DryRunner interface {
	Method

	// DryRun returns the argument vector, without secrets, and runs nothing.
	DryRun() ([]string, error)
}

// DryRun returns the command line that a method would run, program first, so that a person
// can look at it before. It only checks the options: it runs, looks up and opens nothing.
// The command line has no secrets, since no method puts one into an argument. It is the one
// that is used if nobody can be asked.
//
// Errors: those of the checks, mostly [ErrBadName]; errors.ErrUnsupported for methods that
// run no program, such as those of packages ssh and console.
func DryRun(m Method) ([]string, error) {
	if d, ok := m.(DryRunner); ok {
		return d.DryRun()
	}
	return nil, &Error{Hop: m.Label(), Err: fmt.Errorf("%w: it runs no program, or does not tell", errors.ErrUnsupported)}
}
