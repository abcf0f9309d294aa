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
	Packed *bootstrap.PackedImages
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
	image *bootstrap.Image // nil: not found yet
}

// New makes a store that has no images yet.
func New(cfg Config) *Store { return &Store{cfg: cfg} }

// get returns an image, and has it fetched where it is not there. Others that want it
// meanwhile wait for that. If it fails, they fetch the image themselves.
func (s *Store) get(ctx context.Context, sys System, fetch func() (*bootstrap.Image, error)) (*bootstrap.Image, error) {
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
	image, err := fetch()
	if err == nil {
		e.image = image
	}
	return image, err
}

// Image is the bootstrap.Source of this context. For its own system it returns the
// running executable. For others it returns the image that the master has or can
// build. Each context asks its parent, so that an image crosses each link once.
func (s *Store) Image(ctx context.Context, goos, goarch string) (*bootstrap.Image, error) {
	sys := System{GOOS: goos, GOARCH: goarch}
	if sys == ownSystem {
		return s.ownSystemImage(ctx)
	}
	if !sys.known() {
		return nil, unknownSystem(sys)
	}
	image, err := s.other(ctx, sys, false)
	if err != nil {
		if own, ownErr := bootstrap.OwnSource(ctx, goos, goarch); ownErr == nil {
			return own, nil
		}
	}
	return image, err
}

// Static is the bootstrap.Source for far sides that can't load the image that Image
// returns. A static one comes from above or was built here, also for this context's
// own system.
func (s *Store) Static(ctx context.Context, goos, goarch string) (*bootstrap.Image, error) {
	sys := System{GOOS: goos, GOARCH: goarch}
	if !sys.known() {
		return nil, unknownSystem(sys)
	}
	if s.cfg.Files == nil && bootstrap.OwnLoader() == "" && sys == ownSystem {
		return bootstrap.OwnImage()
	}
	return s.other(ctx, sys, true)
}

func unknownSystem(sys System) error {
	return fmt.Errorf("%w: %v, which this package does not know", bootstrap.ErrNoImage, sys)
}

// other returns an image that is not the running executable.
func (s *Store) other(ctx context.Context, sys System, static bool) (*bootstrap.Image, error) {
	return s.get(ctx, sys, func() (*bootstrap.Image, error) {
		if s.cfg.Ask == nil {
			return s.supply(ctx, sys)
		}
		return s.ask(ctx, Request{System: sys, Static: static})
	})
}

// supply finds or builds an image, in the master.
func (s *Store) supply(ctx context.Context, sys System) (*bootstrap.Image, error) {
	image, err := s.offered(sys)
	switch {
	case errors.Is(err, errForeignImage):
		s.warnForeign(sys, err)
	case !errors.Is(err, fs.ErrNotExist):
		return image, err
	}
	why := errors.New("building is forbidden by Config.NoBuild")
	if !s.cfg.NoBuild {
		image, err := buildImage(ctx, sys, s.cfg.Sources)
		if err == nil {
			return image, nil
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
func (s *Store) offered(sys System) (*bootstrap.Image, error) {
	if s.cfg.Files == nil {
		return nil, fs.ErrNotExist
	}
	image, err := bootstrap.OpenImage(s.cfg.Files, sys.File(), sys.GOOS, sys.GOARCH)
	if err != nil {
		return nil, err
	}
	if image.Fingerprint != [32]byte{} && image.Fingerprint != s.cfg.Fingerprint {
		return nil, errForeignImage
	}
	return image, nil
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
func (s *Store) ownSystemImage(ctx context.Context) (*bootstrap.Image, error) {
	if s.cfg.Files == nil {
		return bootstrap.OwnImage()
	}
	image, err := s.get(ctx, ownSystem, func() (*bootstrap.Image, error) { return s.offered(ownSystem) })
	switch {
	case errors.Is(err, errForeignImage):
		s.warnForeign(ownSystem, err)
	case errors.Is(err, fs.ErrNotExist):
	default:
		return image, err
	}
	return bootstrap.OwnImage()
}
