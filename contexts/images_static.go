package contexts

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// loaderWarning is for one warning of a process, however many trees it starts.
var loaderWarning sync.Once

// warnOfLoader tells of a program that can't be started at hosts with another C
// library, in the master. A build for the race detector can't be without one, and is
// nobody's release.
func (l *local) warnOfLoader() {
	loader := bootstrap.OwnLoader()
	if loader == "" || builtWith("-race") {
		return
	}
	loaderWarning.Do(func() {
		l.log.Warn("this program can only start at hosts that have its dynamic loader and C library; build it with CGO_ENABLED=0", "loader", loader)
	})
}

// builtWith reports whether this program was built with a setting that is a flag.
func builtWith(flag string) bool {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == flag {
			return s.Value == "true"
		}
	}
	return false
}

// staticImage is the bootstrap.Source for far sides that can't load what image has: it
// comes from above or was built here, also for this context's own system.
func (l *local) staticImage(ctx context.Context, goos, goarch string) (*bootstrap.Image, error) {
	sys := system{GOOS: goos, GOARCH: goarch}
	if !sys.known() {
		return nil, fmt.Errorf("%w: %v, which this package does not know", ErrNoImage, sys)
	}
	if bootstrap.OwnLoader() == "" && goos == runtime.GOOS && goarch == runtime.GOARCH {
		return bootstrap.OwnImage()
	}
	return l.otherImage(ctx, sys, true)
}
