package contexts

import (
	"context"
	"io"
	"net"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/contexts/internal/images"
)

// ErrNoImage reports that there is no executable for the far side's system, and
// none could be built.
var ErrNoImage = bootstrap.ErrNoImage

// newImages makes the store of the images that are sent from this context.
func (l *local) newImages() *images.Store {
	c := images.Config{
		Log: l.log, Files: l.cfg.Images, Sources: l.cfg.Sources, NoBuild: l.cfg.NoBuild,
		Fingerprint: functions.fingerprint, Packed: l.packed,
	}
	if len(l.ancestors) > 0 {
		c.Ask = func(ctx context.Context, r images.Request) (io.ReadCloser, error) {
			return imageConn.Dial(ctx, l.node(l.ancestors[0]), r)
		}
	}
	return images.New(c)
}

// improve packs the image of a child in the background, for the connects and programs
// that come later.
func (l *local) improve(session *bootstrap.Session) {
	if l.images.Improves(session) {
		l.Tasks.Go(func() { l.images.Improve(l.Ctx, session) })
	}
}

// imageConn sends an image to a child. It calls itself in the parent.
var imageConn = DeclareConn[images.Request]("mitosis.image", AllowDescendants)

func init() {
	imageConn.Define(func(ctx context.Context, conn net.Conn, r images.Request) error {
		return callOf(ctx).l.images.Send(ctx, conn, r)
	})
}
