package contexts

import (
	"context"
	"errors"
	"fmt"

	"github.com/mitosis-go/mitosis/connect"
)

// withCause adds why ctx ended, where the error of a hop does not say it. A hop whose
// time is over is timed out, whatever it was waiting for and whoever was making it.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !errors.Is(err, connect.ErrTimeout) {
		return &lateError{err}
	}
	return err
}

// lateError gives an error the class of bounds that have passed, and leaves its text alone.
type lateError struct{ err error }

// Error implements error.
func (e *lateError) Error() string { return e.err.Error() }

// Unwrap returns the error and its class.
func (e *lateError) Unwrap() []error { return []error{e.err, connect.ErrTimeout} }
