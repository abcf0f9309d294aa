package contexts

import (
	"context"
	"errors"
	"io/fs"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// errForeignImage reports an image that Config.Images has of another program, or of
// other sources of this one.
var errForeignImage = errors.New("it registers other functions than this program: build it anew from the same sources")

// offered is the image that Config.Images has for a system. Errors match
// [fs.ErrNotExist] where it has none.
func (l *local) offered(sys system) (*image.Image, error) {
	if l.cfg.Images == nil {
		return nil, fs.ErrNotExist
	}
	img, err := image.Open(l.cfg.Images, sys.file(), sys.GOOS, sys.GOARCH)
	if err != nil {
		return nil, err
	}
	if img.Fingerprint != [32]byte{} && img.Fingerprint != table.fingerprint {
		return nil, errForeignImage
	}
	return img, nil
}

// offers reports whether Config.Images has an image for a system, without reading it.
func (l *local) offers(sys system) bool {
	if l.cfg.Images == nil {
		return false
	}
	for _, name := range []string{sys.file(), sys.file() + ".sum"} {
		if _, err := fs.Stat(l.cfg.Images, name); err == nil {
			return true
		}
	}
	return false
}

// ownSystemImage is the image for this context's own system: what Config.Images has, in
// the master, or else the running executable.
func (l *local) ownSystemImage(ctx context.Context, sys system) (*image.Image, error) {
	if l.cfg.Images == nil {
		return image.Own()
	}
	img, err := l.images.get(ctx, sys, func() (*image.Image, error) { return l.offered(sys) })
	switch {
	case errors.Is(err, errForeignImage):
		l.log.Warn("the image in Config.Images is not used", "system", sys.String(), "reason", err)
	case errors.Is(err, fs.ErrNotExist):
	default:
		return img, err
	}
	return image.Own()
}
