package bootstrap

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// A program that was built with cgo, or position-independent, is started by a dynamic
// loader, and needs the C library that it was linked to. A far side with another C library, or
// an older one, cannot execute it. The shell there then says "not found" of a file that exists.
// So the plan for such an image looks for the loader before it takes the image, and
// executes the image once without effect before it replaces the shell or the interpreter.
// Where either fails, an image without a loader is sent, if there is one.

// noLoader is the reason of a plan that ends because the far side lacks the image's loader or
// libraries.
const noLoader = "the image does not load"

var errNoLoader = errors.New(noLoader)

// ifLoaderThere lets the rest of a plan run only where the image's loader is.
func (p *plan) ifLoaderThere(rest string) string {
	if p.loader == "" {
		return rest
	}
	return "if [ -e " + quote(p.loader) + " ];then " + strings.TrimSuffix(rest, ";") + ";else skip;bad " + quote(noLoader) + ";fi;"
}

// tryStatic tries an image without a loader in place of one that could not be loaded.
func (d *conversation) tryStatic(img *image.Image) (alive bool, err error) {
	<-d.sent
	failed := fmt.Errorf("%w: %s", ErrNoImage, needsLoader(img.Loader))
	if d.opts.Static == nil {
		return false, failed
	}
	d.course.reach(PhasePrepare)
	static, err := d.opts.Static(d.ctx, img.GOOS, img.GOARCH)
	if err == nil && static.Loader != "" {
		err = fmt.Errorf("the one that was supplied needs %s as well", static.Loader)
	}
	if err != nil {
		return false, fmt.Errorf("%w; there is no image without a loader: %w", failed, err)
	}
	d.opts.Log.Debug("the far side lacks the loader or the libraries of this program, and gets an image that needs none", "loader", img.Loader)
	d.static = true
	if alive, err := d.tryCache(static); alive || err != nil {
		return alive, err
	}
	return d.tryAll(static)
}

// needsLoader says which loader an image needs, and how to build one that needs none.
func needsLoader(loader string) string {
	return "this program needs " + loader + " and the C library that it was linked to, which the far side does not have: build it with CGO_ENABLED=0"
}

// loaderHint returns advice where a program that needs a loader was executed and did not
// start, at a place where nothing had looked for the loader before.
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
