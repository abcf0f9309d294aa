package guard

import (
	"context"
	"time"
)

// KillDescendants does nothing here: on Windows a job object of the carrier
// ends what a child started.
func KillDescendants(ctx context.Context, grace time.Duration) (survivors int) { return 0 }
