package images

import (
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// advice is given once in a process, however many trees it starts.
var advice sync.Once

// AdviseOnce logs properties of this program that were decided when it was built, and
// because of which it starts at fewer hosts, or later. It logs nothing for a build for the
// race detector, which is nobody's release, and for a program that sends another image in
// its place.
func (s *Store) AdviseOnce() {
	advice.Do(func() {
		if !builtWith("-race") && !s.offers(ownSystem) {
			advise(s.cfg.Log, image.OwnLoader(), image.CheckRelease())
		}
	})
}

func advise(log *slog.Logger, loader string, release error) {
	if loader != "" {
		log.Warn("this program can only start at hosts that have its dynamic loader and C library; build it with CGO_ENABLED=0", "loader", loader)
	}
	if release != nil {
		log.Info("the image of this program is larger than it could be; a newer version of mitosis may know the release of Go", "reason", release)
	}
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
