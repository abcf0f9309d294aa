//go:build !linux

package guard

import (
	"errors"
	"time"
)

// Lease can't be given where guards have no timer to share with their workers.
func Lease(time.Duration) error { return errors.ErrUnsupported }

// Below fails: only a context with a lease has to know whether there is a guard above its own.
func Below() (int, error) { return 0, errors.ErrUnsupported }
