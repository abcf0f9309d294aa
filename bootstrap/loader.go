package bootstrap

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// A program that was built with cgo, or position-independent, is started by a dynamic
// loader, and needs the C library that it was linked to. A far side with another C library, or an older one,
// cannot execute it; the shell there says "not found" of a file that is there. So
// the plan for such an image asks whether its loader is there, before the image is
// sent, and executes the image once without effect, before the shell or the
// interpreter gives way to it. Where either fails, an image that needs no loader
// takes its place, if there is one.

// noLoader is the reason of a plan whose image lacks its loader or libraries there.
const noLoader = "the image does not load"

var errNoLoader = errors.New(noLoader)

// ifLoaderThere makes the rest of a plan depend on the image's loader.
func (p *plan) ifLoaderThere(rest string) string {
	if p.loader == "" {
		return rest
	}
	return "if [ -e " + quote(p.loader) + " ];then " + strings.TrimSuffix(rest, ";") + ";else skip;bad " + quote(noLoader) + ";fi;"
}

// climbStatic tries an image without a loader in place of one that does not load.
func (d *conversation) climbStatic(img *image.Image) (alive bool, err error) {
	<-d.sent
	failed := fmt.Errorf("%w: %s", ErrNoImage, needsLoader(img.Loader))
	if d.opts.Static == nil {
		return false, failed
	}
	d.course.reach(PhasePrepare)
	static, err := d.opts.Static(d.ctx, img.GOOS, img.GOARCH)
	if err == nil && static.Loader != "" {
		err = fmt.Errorf("what there is needs %s", static.Loader)
	}
	if err != nil {
		return false, fmt.Errorf("%w; there is no image without a loader: %w", failed, err)
	}
	d.opts.Log.Debug("the far side lacks the loader or the libraries of this program, and gets an image that needs none", "loader", img.Loader)
	d.static = true
	if alive, err := d.tryCache(static); alive || err != nil {
		return alive, err
	}
	return d.climbAll(static)
}

// needsLoader tells what an image needs and how to build one that does not.
func needsLoader(loader string) string {
	return "this program needs " + loader + " and the C library that it was linked to, which the far side does not have: build it with CGO_ENABLED=0"
}

// loaderHint tells of the loader where a program that needs one was executed and did not
// start: in a place where it was not asked for before.
func (d *conversation) loaderHint(e *Error) string {
	loader := image.OwnLoader()
	if d.image != nil {
		loader = d.image.Loader
	}
	if loader == "" || e.Phase != PhaseFirstStage && e.Phase != PhaseHello {
		return ""
	}
	text := e.Said + e.Err.Error()
	for _, words := range [...]string{
		"error while loading shared libraries", "(required by ", "Error loading shared library", "Error relocating ",
		"/exe: not found", "/exe: No such file", "/exe: cannot execute: required file",
		"/fd/8: not found", "/fd/8: No such file", "/fd/8: cannot execute: required file",
	} {
		if strings.Contains(text, words) {
			return needsLoader(loader)
		}
	}
	return ""
}
