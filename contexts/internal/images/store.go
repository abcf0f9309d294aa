package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"runtime"
	"sync"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// A System is the operating system and the architecture that an image is for, by
// their Go names.
type System struct {
	_            struct{} `cbor:",toarray"`
	GOOS, GOARCH string
}

// String returns the system as the go command writes it: "linux/arm64".
func (s System) String() string { return s.GOOS + "/" + s.GOARCH }

// File returns the name of the image in Config.Files and in the cache.
func (s System) File() string { return s.GOOS + "_" + s.GOARCH }

// ownSystem is the system of this process.
var ownSystem = System{GOOS: runtime.GOOS, GOARCH: runtime.GOARCH}

// known reports whether children can be of this system. The names come from far
// sides, and become those of files and arguments.
func (s System) known() bool {
	for _, known := range []System{
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

// Config configures a Store.
type Config struct {
	Log *slog.Logger

	// Files, Sources and NoBuild are Images, Sources and NoBuild of contexts.Config.
	// They are set in the master only.
	Files   fs.FS
	Sources string
	NoBuild bool

	// Fingerprint is that of this program. Images in Files must have the same, where
	// they say theirs.
	Fingerprint [32]byte
	// Packed keeps packed images for later programs; nil: none are kept.
	Packed *image.PackedDir
	// Ask opens a stream on which the parent answers a request by Store.Send. It is
	// nil in the master, which has no parent.
	Ask func(ctx context.Context, r Request) (io.ReadCloser, error)
}

// A Store finds the images that are sent from this context. It keeps those for other
// systems, packed, for as long as the context lives: a few megabytes for each system.
type Store struct {
	// Immutable after New.
	cfg Config

	mu  sync.Mutex
	all map[System]*stored // guarded by mu
}

type stored struct {
	// Capacity 1. The goroutine that has sent into it owns image, until it receives.
	turn  chan struct{}
	image *image.Image // nil: not found yet
}

// New makes a store that has no images yet.
func New(cfg Config) *Store { return &Store{cfg: cfg} }

// get returns an image, and has it fetched where it is not there. Others that want it
// meanwhile wait for that. If it fails, they fetch the image themselves.
func (s *Store) get(ctx context.Context, sys System, fetch func() (*image.Image, error)) (*image.Image, error) {
	s.mu.Lock()
	e := s.all[sys]
	if e == nil {
		if s.all == nil {
			s.all = make(map[System]*stored)
		}
		e = &stored{turn: make(chan struct{}, 1)}
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

// Image is the image.Source of this context. For its own system it returns the
// running executable. For others it returns the image that the master has or can
// build. Each context asks its parent, so that an image crosses each link once.
func (s *Store) Image(ctx context.Context, goos, goarch string) (*image.Image, error) {
	sys := System{GOOS: goos, GOARCH: goarch}
	if sys == ownSystem {
		return s.ownSystemImage(ctx)
	}
	if !sys.known() {
		return nil, unknownSystem(sys)
	}
	img, err := s.other(ctx, sys, false)
	if err != nil {
		if own, ownErr := image.OwnSource(ctx, goos, goarch); ownErr == nil {
			return own, nil
		}
	}
	return img, err
}

// Static is the image.Source for far sides that can't load the image that Image
// returns. A static one comes from above or was built here, also for this context's
// own system.
func (s *Store) Static(ctx context.Context, goos, goarch string) (*image.Image, error) {
	sys := System{GOOS: goos, GOARCH: goarch}
	if !sys.known() {
		return nil, unknownSystem(sys)
	}
	if s.cfg.Files == nil && image.OwnLoader() == "" && sys == ownSystem {
		return image.Own()
	}
	return s.other(ctx, sys, true)
}

func unknownSystem(sys System) error {
	return fmt.Errorf("%w: %v, which this package does not know", bootstrap.ErrNoImage, sys)
}

// other returns an image that is not the running executable.
func (s *Store) other(ctx context.Context, sys System, static bool) (*image.Image, error) {
	return s.get(ctx, sys, func() (*image.Image, error) {
		if s.cfg.Ask == nil {
			return s.supply(ctx, sys)
		}
		return s.ask(ctx, Request{System: sys, Static: static})
	})
}

// supply finds or builds an image, in the master.
func (s *Store) supply(ctx context.Context, sys System) (*image.Image, error) {
	img, err := s.offered(sys)
	switch {
	case errors.Is(err, errForeignImage):
		s.warnForeign(sys, err)
	case !errors.Is(err, fs.ErrNotExist):
		return img, err
	}
	why := errors.New("building is forbidden by Config.NoBuild")
	if !s.cfg.NoBuild {
		img, err := buildImage(ctx, sys, s.cfg.Sources)
		if err == nil {
			return img, nil
		}
		why = err
	}
	return nil, fmt.Errorf("%w: %v (this program is %v): build it with GOOS=%s GOARCH=%s CGO_ENABLED=0 and offer it as %q in Config.Images; it could not be built here: %w",
		bootstrap.ErrNoImage, sys, ownSystem, sys.GOOS, sys.GOARCH, sys.File(), why)
}

// errForeignImage reports an image in Config.Files that is of another program, or of
// other sources of this one.
var errForeignImage = errors.New("it registers other functions than this program: build it anew from the same sources")

func (s *Store) warnForeign(sys System, err error) {
	s.cfg.Log.Warn("the image in Config.Images is not used", "system", sys.String(), "reason", err)
}

// offered returns the image that Config.Files has for a system. Errors match
// [fs.ErrNotExist] where it has none.
func (s *Store) offered(sys System) (*image.Image, error) {
	if s.cfg.Files == nil {
		return nil, fs.ErrNotExist
	}
	img, err := image.Open(s.cfg.Files, sys.File(), sys.GOOS, sys.GOARCH)
	if err != nil {
		return nil, err
	}
	if img.Fingerprint != [32]byte{} && img.Fingerprint != s.cfg.Fingerprint {
		return nil, errForeignImage
	}
	return img, nil
}

// offers reports whether Config.Files has an image for a system, without reading it.
func (s *Store) offers(sys System) bool {
	if s.cfg.Files == nil {
		return false
	}
	for _, name := range []string{sys.File(), sys.File() + ".sum"} {
		if _, err := fs.Stat(s.cfg.Files, name); err == nil {
			return true
		}
	}
	return false
}

// ownSystemImage returns the image for this context's own system: that of Config.Files,
// in the master, or else the running executable.
func (s *Store) ownSystemImage(ctx context.Context) (*image.Image, error) {
	if s.cfg.Files == nil {
		return image.Own()
	}
	img, err := s.get(ctx, ownSystem, func() (*image.Image, error) { return s.offered(ownSystem) })
	switch {
	case errors.Is(err, errForeignImage):
		s.warnForeign(ownSystem, err)
	case errors.Is(err, fs.ErrNotExist):
	default:
		return img, err
	}
	return image.Own()
}
