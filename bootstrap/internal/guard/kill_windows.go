package guard

import (
	"context"
	"errors"
	"time"
)

// Wake does nothing here, where processes can't be stopped.
func Wake() {}

// KillDescendants does nothing here: on Windows a job object of the carrier
// ends the processes that a child started.
func KillDescendants(ctx context.Context, grace time.Duration) (survivors int) { return 0 }

// KeepJobs fails: a process can't leave its job object.
func KeepJobs() error { return errors.ErrUnsupported }

// HeedsHangup returns false: Windows has no SIGHUP.
func HeedsHangup(int) bool { return false }

// GroupThatHeedsHangup returns nil: Windows has no SIGHUP.
func GroupThatHeedsHangup(int) []int { return nil }

// LeftRunning returns nil: Windows gives orphans to no other process.
func LeftRunning() []Left { return nil }
