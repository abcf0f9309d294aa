package bootstrap

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Options say what to launch. The zero value sends the running executable, by
// any rung.
type Options struct {
	// Fingerprint of the table of functions; a child with another is refused.
	Fingerprint [32]byte
	// Images supplies executables; nil: the running one, for its own system.
	Images Source

	// NoDisk closes the rung that writes to a disk.
	NoDisk bool
	// Rungs restricts the ladder to those named; empty: all.
	Rungs []string
	// Cache says that the far side may have the image in its cache, and that
	// it is to be looked for there.
	Cache bool
	// Known is what the same far side was like before, nil if that is not known. It
	// may be wrong: it only makes things faster.
	Known *Facts
	// Early is the rung by which a child was started at that time, which is
	// tried again without waiting for the far side to speak: see
	// [Launch.Early]. "" waits.
	Early string
	// Same says that the far side is probably this host: the executable is
	// offered through /proc, and no image is packed ahead of need.
	Same bool
	// Near says that the pipe stays on this host, where an image takes less time
	// on its way than in a packer.
	Near bool
	// Slow says that the way there is slow, so that time is well spent on packing and
	// unpacking.
	Slow bool
	// Probe is for a launch that is to find out how the rungs stand, and starts
	// nothing: see [Launch.Probe].
	Probe bool
	// Pid is the process whose executable is offered; 0: this one.
	Pid int
	// NoNudge stops the newlines that get a profile going which reads standard
	// input. It is for carriers that would type them at a prompt.
	NoNudge bool
	// Pace says that sshd is in the way, whose buffer does not take an image
	// well that comes faster than it is unpacked.
	Pace bool
	// Label is shown in the far side's process list. Characters other than
	// letters, digits and @:._-/ are replaced.
	Label string
	// Log receives a warning where a disk had to be used; nil: nobody.
	Log *slog.Logger
}

// A Launch is one attempt to start a child. Its marker is its own, so each is
// run once.
type Launch struct {
	opts   Options
	marker string
	packed sync.Once
	look   sync.Once
	wanted string        // hex SHA-256 of what is looked for in the cache; set by look
	ready  chan struct{} // closed when the far side has spoken or was given up
	isDone sync.Once     // closes ready
}

// NewLaunch prepares a launch.
func NewLaunch(o Options) *Launch {
	o.Rungs = slices.Clone(o.Rungs)
	if o.Images == nil {
		o.Images = OwnSource
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Launch{opts: o, marker: newMarker(), ready: make(chan struct{})}
}

// usual is the codec that the last far side understood, on the guess that the
// next is like it.
var usual atomic.Uint32

func init() { usual.Store(uint32(Zstd)) }

// prefetch packs the image that is most probably wanted while the tool is still
// busy with keys and passwords. Where it may be in the cache it is most probably not
// wanted, and packing would only take the processors from the handshake.
func (l *Launch) prefetch() {
	if l.opts.Same || l.opts.Pid > 0 || l.opts.Near || l.opts.Probe || l.sought() != "" {
		return
	}
	l.packed.Do(func() {
		go func() {
			if image, err := l.opts.Images(context.Background(), runtime.GOOS, runtime.GOARCH); err == nil {
				codec := Codec(usual.Load())
				if worthXZ(image.Size, l.opts.Slow) {
					codec = XZ
				}
				image.Encoded(codec)
			}
		}()
	})
}

// Ready is closed when the far side has spoken, that is, after every question
// and password; and at the latest when the launch has failed.
func (l *Launch) Ready() <-chan struct{} { return l.ready }

// Abandon closes Ready for a launch that will not be run.
func (l *Launch) Abandon() { l.isDone.Do(func() { close(l.ready) }) }

// Run brings a child to life at the far end of c, which must have been started
// with Line, Argv or Exec, and returns when the child has said hello. ctx bounds
// all of it; the link that is returned no longer depends on it. On failure c is
// closed and the error is an [*Error].
//
// It reads in the calling goroutine; two others, for the nudges and for the
// sending of an image, end before it returns.
func (l *Launch) Run(ctx context.Context, c Carrier) (*Session, error) {
	d := l.dial(ctx, c)
	s, err := d.run()
	return s, d.finish(err)
}
