package bootstrap

import (
	"errors"
	"fmt"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// Which images run on a host is decided by the host: the trial of each start method executes a
// program for the architecture of the image. A kernel of 64 bits may execute programs of
// 32 or not, and what uname tells may be a personality (linux32).

// wrongFormat is the reason of a plan whose start method executes programs, and not those of the
// image's architecture.
const wrongFormat = "programs of this architecture are not executed"

var errWrongFormat = errors.New(wrongFormat)

// siblings are the architectures that one processor may have in common.
var siblings = map[string]string{"386": "amd64", "amd64": "386", "arm": "arm64", "arm64": "arm"}

// likelyImage is the image for the architecture that the far side names, and where there
// is none that for its sibling, which the far side may execute as well.
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

// climbSibling tries the image for a sibling of the architecture of one that is not
// executed, where there is another.
func (d *conversation) climbSibling(img *image.Image) (alive bool, err error) {
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
	if alive, err = d.climbAll(other); errors.Is(err, errWrongFormat) {
		err = fmt.Errorf("%w, nor for %s/%s", none, goos, sibling)
	}
	return alive, err
}

// notExecuted is the error for an image whose architecture the far side does not have.
func (d *conversation) notExecuted(img *image.Image) error {
	return fmt.Errorf("%w: the far side (%s %s) does not execute programs for %s/%s",
		ErrNoImage, d.facts.Kernel, d.facts.Machine, d.facts.GOOS(), img.GOARCH)
}
