package bootstrap

import (
	"errors"
	"fmt"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// The host decides which images run on it: the trial of each start method executes a small
// program for the architecture of the image. uname does not decide. A kernel of 64 bits may or
// may not execute programs of 32, and uname may tell of a personality (linux32).

// wrongFormat is the reason of a plan whose start method executes programs, but none for the
// image's architecture.
const wrongFormat = "programs of this architecture are not executed"

var errWrongFormat = errors.New(wrongFormat)

// siblings are pairs of architectures whose programs one processor may execute.
var siblings = map[string]string{"386": "amd64", "amd64": "386", "arm": "arm64", "arm64": "arm"}

// likelyImage returns the image for the architecture that the far side names. Where there is
// none it returns the image for the sibling, which the far side may execute as well.
func (d *conversation) likelyImage() (*image.Image, error) {
	goos, goarch := d.facts.GOOS(), d.facts.GOARCH()
	img, err := d.opts.Images(d.ctx, goos, goarch)
	if sibling := siblings[goarch]; errors.Is(err, ErrNoImage) && sibling != "" {
		if other, otherErr := d.opts.Images(d.ctx, goos, sibling); otherErr == nil && other.GOARCH == sibling {
			d.opts.Log.Debug("there is no image for the architecture that the far side names", "named", goarch, "sent", sibling)
			return other, nil
		}
	}
	return img, err
}

// trySibling tries the image for the sibling of an architecture whose programs are not
// executed there.
func (d *conversation) trySibling(img *image.Image) (alive bool, err error) {
	<-d.sent
	goos, sibling := d.facts.GOOS(), siblings[img.GOARCH]
	none := d.notExecuted(img)
	if sibling == "" {
		return false, none
	}
	other, err := d.opts.Images(d.ctx, goos, sibling)
	if err != nil {
		return false, fmt.Errorf("%w, and there is none for %s/%s: %w", none, goos, sibling, err)
	}
	if other.GOARCH != sibling {
		return false, fmt.Errorf("%w, and there is none for %s/%s", none, goos, sibling)
	}
	d.opts.Log.Debug("the far side does not execute programs of its architecture", "instead of", img.GOARCH, "sent", sibling)
	if alive, err = d.tryAll(other); errors.Is(err, errWrongFormat) {
		err = fmt.Errorf("%w, nor for %s/%s", none, goos, sibling)
	}
	return alive, err
}

// notExecuted returns the error for an image whose architecture the far side does not execute.
func (d *conversation) notExecuted(img *image.Image) error {
	return fmt.Errorf("%w: the far side (%s %s) does not execute programs for %s/%s",
		ErrNoImage, d.facts.Kernel, d.facts.Machine, d.facts.GOOS(), img.GOARCH)
}
