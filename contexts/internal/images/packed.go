package images

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// Packed returns the store of packed images in dir, or, where that is empty, in the
// user's cache directory. It returns nil where there is no such directory. Only masters
// and guests keep packed images: nothing is written to the disks of other hosts.
func Packed(dir string) *image.PackedDir {
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil
		}
		dir = filepath.Join(base, "mitosis", "packed")
	}
	return image.NewPackedDir(dir)
}

// Improves reports whether Improve has anything to do for the image of a session.
func (s *Store) Improves(session *bootstrap.Session) bool {
	return s.cfg.Packed != nil && session.Codec != image.Raw
}

// Improve packs the image of a child as small as it can be, for the connects and the
// programs that come later. It takes seconds, and gives up when ctx ends.
func (s *Store) Improve(ctx context.Context, session *bootstrap.Session) {
	if err := s.cfg.Packed.Prepare(); err != nil {
		s.cfg.Log.Debug("packed images are not kept", "err", err)
		return
	}
	err := session.Image.Improve(ctx, session.Codec, s.cfg.Packed)
	if err != nil && ctx.Err() == nil {
		s.cfg.Log.Debug("the packed image is not kept", "err", err)
	}
}

// KeepOwn puts the image that this child was made from into the cache of its user.
// Failures are for the log only.
func KeepOwn(log *slog.Logger) {
	harmed, err := image.KeepInCache()
	if harmed {
		log.Warn("the image in the cache was not what had been put there; it was not executed")
	}
	if err != nil {
		log.Warn("the image can't be kept in the cache", "err", err)
	}
}
