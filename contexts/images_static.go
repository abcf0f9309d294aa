package contexts

import (
	"context"
	"fmt"
	"runtime"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// staticImage is the image.Source for far sides that can't load what image has: it
// comes from above or was built here, also for this context's own system.
func (l *local) staticImage(ctx context.Context, goos, goarch string) (*image.Image, error) {
	sys := system{GOOS: goos, GOARCH: goarch}
	if !sys.known() {
		return nil, fmt.Errorf("%w: %v, which this package does not know", ErrNoImage, sys)
	}
	if l.cfg.Images == nil && image.OwnLoader() == "" && goos == runtime.GOOS && goarch == runtime.GOARCH {
		return image.Own()
	}
	return l.otherImage(ctx, sys, true)
}
