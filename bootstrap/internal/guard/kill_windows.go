package guard

import (
	"context"
	"time"
)

// Wake does nothing here, where processes can't be stopped.
func Wake() {}

// KillDescendants does nothing here: on Windows a job object of the carrier
// ends what a child started.
func KillDescendants(ctx context.Context, grace time.Duration) (survivors int) { return 0 }
