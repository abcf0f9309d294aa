package contexts

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/core"
)

// ErrNoImage reports that there is no executable for the far side's system, and
// none could be built.
var ErrNoImage = bootstrap.ErrNoImage

// maxPacked bounds an image on its way, in bytes.
const maxPacked = 256 << 20

// A system is what an image is for, by its Go names.
type system struct {
	_            struct{} `cbor:",toarray"`
	GOOS, GOARCH string
}

func (s system) String() string { return s.GOOS + "/" + s.GOARCH }

// file is the name of the image in Config.Images and in the cache.
func (s system) file() string { return s.GOOS + "_" + s.GOARCH }

// known reports whether children can be of this system. The names come from far
// sides, and become those of files and arguments.
func (s system) known() bool {
	for _, known := range []system{
		{GOOS: "linux", GOARCH: "amd64"}, {GOOS: "linux", GOARCH: "arm64"}, {GOOS: "linux", GOARCH: "arm"},
		{GOOS: "linux", GOARCH: "386"}, {GOOS: "linux", GOARCH: "riscv64"}, {GOOS: "linux", GOARCH: "ppc64le"},
		{GOOS: "linux", GOARCH: "s390x"}, {GOOS: "linux", GOARCH: "loong64"}, {GOOS: "darwin", GOARCH: "amd64"},
		{GOOS: "darwin", GOARCH: "arm64"}, {GOOS: "freebsd", GOARCH: "amd64"}, {GOOS: "freebsd", GOARCH: "arm64"},
		{GOOS: "windows", GOARCH: "amd64"}, {GOOS: "windows", GOARCH: "arm64"},
	} {
		if s == known {
			return true
		}
	}
	return false
}

// imageStore keeps the images for other systems that this context has found or
// was sent, packed, for as long as it lives: a few megabytes for each system.
type imageStore struct {
	mu  sync.Mutex
	all map[system]*storedImage
}

type storedImage struct {
	turn  chan struct{} // of capacity 1; held by who looks or fetches
	image *image.Image
}

// get returns an image, having it fetched where it is not there. Others who want
// it meanwhile wait for that, and fetch it themselves if it fails.
func (s *imageStore) get(ctx context.Context, sys system, fetch func() (*image.Image, error)) (*image.Image, error) {
	s.mu.Lock()
	e := s.all[sys]
	if e == nil {
		if s.all == nil {
			s.all = make(map[system]*storedImage)
		}
		e = &storedImage{turn: make(chan struct{}, 1)}
		s.all[sys] = e
	}
	s.mu.Unlock()
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-e.turn }()
	if e.image != nil {
		return e.image, nil
	}
	img, err := fetch()
	if err == nil {
		e.image = img
	}
	return img, err
}

// image is the image.Source of this context: its own executable for its own
// system, for others what the master has or can build, hop by hop, so that an
// image crosses each link once.
func (l *local) image(ctx context.Context, goos, goarch string) (*image.Image, error) {
	sys := system{GOOS: goos, GOARCH: goarch}
	if goos == runtime.GOOS && goarch == runtime.GOARCH {
		return l.ownSystemImage(ctx, sys)
	}
	if !sys.known() {
		return nil, fmt.Errorf("%w: %v, which this package does not know", ErrNoImage, sys)
	}
	img, err := l.otherImage(ctx, sys, false)
	if err != nil {
		if own, ownErr := image.OwnSource(ctx, goos, goarch); ownErr == nil {
			return own, nil
		}
	}
	return img, err
}

// otherImage is an image that is not the running executable.
func (l *local) otherImage(ctx context.Context, sys system, static bool) (*image.Image, error) {
	return l.images.get(ctx, sys, func() (*image.Image, error) {
		if len(l.ancestors) == 0 {
			return l.supply(ctx, sys)
		}
		return l.fetchImage(ctx, sys, static)
	})
}

// supply finds or builds an image, in the master.
func (l *local) supply(ctx context.Context, sys system) (*image.Image, error) {
	img, err := l.offered(sys)
	switch {
	case errors.Is(err, errForeignImage):
		l.log.Warn("the image in Config.Images is not used", "system", sys.String(), "reason", err)
	case !errors.Is(err, fs.ErrNotExist):
		return img, err
	}
	why := errors.New("building is forbidden by Config.NoBuild")
	if !l.cfg.NoBuild {
		img, err := buildImage(ctx, sys, l.cfg.Sources)
		if err == nil {
			return img, nil
		}
		why = err
	}
	return nil, fmt.Errorf("%w: %v (this program is %s/%s): build it with GOOS=%s GOARCH=%s CGO_ENABLED=0 and offer it as %q in Config.Images; it could not be built here: %w",
		ErrNoImage, sys, runtime.GOOS, runtime.GOARCH, sys.GOOS, sys.GOARCH, sys.file(), why)
}

// packedImages is where a master keeps packed images: Config.PackedDir, or a directory
// in the user's cache directory; nil where there is none. Other contexts keep nothing,
// because nothing is written to the disks of their hosts.
func packedImages(cfg *Config) *image.PackedDir {
	dir := cfg.PackedDir
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil
		}
		dir = filepath.Join(base, "mitosis", "packed")
	}
	return image.NewPackedDir(dir)
}

// improve packs the image of a child as small as it can be, in the background, for
// the connects and programs that come later.
func (l *local) improve(session *bootstrap.Session) {
	if l.packed == nil || session.Codec == image.Raw {
		return
	}
	l.backgroundWG.Go(func() {
		if err := l.packed.Prepare(); err != nil {
			l.log.Debug("packed images are not kept", "err", err)
			return
		}
		err := session.Image.Improve(l.ctx, session.Codec, l.packed)
		if err != nil && l.ctx.Err() == nil {
			l.log.Debug("the packed image is not kept", "err", err)
		}
	})
}

// An imageRequest asks the parent for an image.
type imageRequest struct {
	_      struct{} `cbor:",toarray"`
	System system
	Static bool // it must need no dynamic loader
}

// imageConn sends an image: its SHA-256, the length of its gzip form, and that.
// It calls itself in the parent.
var imageConn = DeclareConn[imageRequest]("mitosis.image", AllowDescendants)

const imageHeader = 32 + 8 // bytes

func init() {
	imageConn.Define(func(ctx context.Context, conn net.Conn, r imageRequest) error {
		l := callOf(ctx).l
		source := l.image
		if r.Static {
			source = l.staticImage
		}
		img, err := source(ctx, r.System.GOOS, r.System.GOARCH)
		if err != nil {
			return err
		}
		packed, err := img.Encoded(ctx, image.Gzip, l.packed)
		if err != nil {
			return err
		}
		header := binary.BigEndian.AppendUint64(img.Hash[:], uint64(len(packed)))
		if _, err := conn.Write(header); err != nil {
			return err
		}
		_, err = conn.Write(packed)
		return err
	})
}

// fetchImage asks the parent for an image.
func (l *local) fetchImage(ctx context.Context, sys system, static bool) (*image.Image, error) {
	conn, err := imageConn.Dial(ctx, l.node(l.ancestors[0]), imageRequest{System: sys, Static: static})
	if err != nil {
		return nil, reasonWithoutCall(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	fail := func(err error) (*image.Image, error) {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("image %v from the parent: %w", sys, reasonWithoutCall(err))
	}
	var header [imageHeader]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return fail(err)
	}
	size := binary.BigEndian.Uint64(header[32:])
	if size > maxPacked {
		return fail(fmt.Errorf("%w: %d bytes", core.ErrTooLarge, size))
	}
	// Memory is taken for what arrives, not for what is announced.
	var packed bytes.Buffer
	if n, err := io.CopyN(&packed, conn, int64(size)); err != nil {
		return fail(fmt.Errorf("%d of %d bytes: %w", n, size, err))
	}
	img, err := image.Unpack(packed.Bytes(), sys.GOOS, sys.GOARCH, [32]byte(header[:32]))
	if err != nil {
		return fail(err)
	}
	return img, nil
}
