//go:build !linux

package guard

import (
	"errors"
	"time"
)

// Lease can't be given where guards have no timer to share with their workers.
func Lease(time.Duration) error { return errors.ErrUnsupported }

// Below is of use only where there are leases.
func Below() (int, error) { return 0, errors.ErrUnsupported }
