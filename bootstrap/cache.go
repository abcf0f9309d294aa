package bootstrap

import (
	"context"
	"encoding/hex"
	"fmt"
	"runtime"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
)

// The cache at the far side is a directory of images in files that are named
// HASH-MACHINE, after their SHA-256 and uname -m: homes are shared by hosts of
// different kinds. A child puts its image there itself (see [image.KeepInCache]); the part
// "cache" of the first stage is how the shell starts what it finds.
//
// Everything is decided by descriptor 8, which is hashed and executed by number:
// it has to be a file of our own that nobody else may touch. A file that somebody
// changes in place between the two can only be changed by the same user, who could
// as well trace the process. The directory is checked too, so that nobody else
// chooses what is in it. ls is told of the file by its number and of the directory
// by a dot, so that no name can look like a mode. The image runs once without doing
// anything before the shell is replaced by it: on a file system without execution,
// or where a library forbids it, there is a shell left to go on.
//
// It is a brace group with a redirection, because a shell ends where that of exec
// fails. The bits of the directory's owner don't matter; where the pattern names
// them, ksh93 does not find it in texts of some lengths. posh can't tell whose a file is
// and does without the cache.

// cacheHasNot is the reason of a plan for [StartCache] that found nothing it could
// use.
const cacheHasNot = "there is no such image in the cache"

// sought is the hash of the image that the first stage looks for in the cache: that
// for the system which the far side had the last time, or else for our own. It is
// "" where the cache is not asked for, or there is a shorter way, or no image.
func (l *Launch) sought() string {
	if !l.opts.Cache || l.opts.Same && !l.opts.Probe || l.opts.Pid > 0 {
		return ""
	}
	l.look.Do(func() {
		goos, goarch := runtime.GOOS, runtime.GOARCH
		if known := l.opts.Known; known != nil {
			goos, goarch = known.GOOS(), known.GOARCH()
		}
		// What fails here fails again where it is reported.
		if img, err := l.opts.Images(context.Background(), goos, goarch); err == nil {
			l.wanted = hex.EncodeToString(img.Hash[:])
		}
	})
	return l.wanted
}

// lookup is the statement that starts the image in the cache, if it is there.
func (l *Launch) lookup(hash string) string {
	label := l.label()
	if label != "" {
		label = " " + label
	}
	return l.inCache(hash, fmt.Sprintf(`cd "$w";exec $s %s$m %s$h%s`, guard.GuardPrefix, guard.ImagePrefix, label))
}

// inCache is the statement that does something if the image is in the cache.
func (l *Launch) inCache(hash, do string) string {
	return first("cache", "HASH", hash, "CHECK", guard.CheckPrefix, "DO", do)
}

// cache is the plan that looks for one more image in the cache. Nothing follows
// the line.
func (p *plan) cache(lookup string) string {
	return p.marker + " " + fmt.Sprintf("r=%s;i=-1;", StartCache) + planPart("common") + keepGo() +
		lookup + `bad "` + cacheHasNot + `";`
}
