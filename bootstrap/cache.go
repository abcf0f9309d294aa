package bootstrap

import (
	"context"
	"encoding/hex"
	"fmt"
	"runtime"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
)

// The cache at the far side is a directory of images. Their files are named HASH-MACHINE,
// after their SHA-256 and uname -m, because hosts of different kinds may share a home. A child
// puts its image there itself (see [image.KeepInCache]). The part "cache" of the first stage
// starts the image from there.
//
// The shell opens the file as descriptor 8, and then checks, hashes and executes that. It must
// be a file of our own that no other user may touch. Only the same user could change it after
// that, and could as well trace the process. The directory is checked too, so that nobody
// else chooses its content. ls gets the file by its number and the directory as a dot, so
// that no name can look like a mode. The image runs once without effect before it replaces the
// shell. On a file system without execution, or where a library forbids it, the shell is
// still there and goes on.
//
// The redirection is that of a brace group, because a shell ends where one of exec fails. The
// bits of the directory's owner don't matter: ksh93 does not find a pattern with them in texts
// of some lengths. posh can't tell who owns a file, and does without the cache.

// cacheHasNot is the reason of a plan for [StartCache] that did not find the image.
const cacheHasNot = "there is no such image in the cache"

// sought returns the hash of the image that the first stage looks for in the cache: the one
// for the system that the far side had last time, or else for our own. It is "" where the
// cache is not asked for, where a start without an image is likely, or where there is no
// image.
func (l *Launch) sought() string {
	if !l.opts.Cache || l.opts.Same && !l.opts.Probe || l.opts.Pid > 0 {
		return ""
	}
	l.look.Do(func() {
		goos, goarch := runtime.GOOS, runtime.GOARCH
		if known := l.opts.Known; known != nil {
			goos, goarch = known.GOOS(), known.GOARCH()
		}
		// A failure is reported when the image is needed and fails again.
		if img, err := l.opts.Images(context.Background(), goos, goarch); err == nil {
			l.wanted = hex.EncodeToString(img.Hash[:])
		}
	})
	return l.wanted
}

// lookup returns the statement that starts the image from the cache, if it is there.
func (l *Launch) lookup(hash string) string {
	label := l.label()
	if label != "" {
		label = " " + label
	}
	return l.inCache(hash, fmt.Sprintf(`cd "$w";exec $s %s$m %s$h%s`, guard.GuardPrefix, guard.ImagePrefix, label))
}

// inCache returns a statement that runs another one if the image is in the cache.
func (l *Launch) inCache(hash, do string) string {
	return first("cache", "HASH", hash, "CHECK", guard.CheckPrefix, "DO", do)
}

// cache returns the plan that looks for one more image in the cache. No image follows the
// line.
func (p *plan) cache(lookup string) string {
	return p.marker + " " + fmt.Sprintf("r=%s;i=-1;", StartCache) + planPart("common") + keepGo() +
		lookup + `bad "` + cacheHasNot + `";`
}
