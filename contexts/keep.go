package contexts

import "github.com/mitosis-go/mitosis/bootstrap/image"

// keepImage puts the image that this child was made from into the cache of its
// user. It goes on beside the first calls. What comes of it is for the log only.
func (l *local) keepImage() {
	harmed, err := image.KeepInCache()
	if harmed {
		l.log.Warn("the image in the cache was not what had been put there; it was not executed")
	}
	if err != nil {
		l.log.Warn("the image can't be kept in the cache", "err", err)
	}
}
