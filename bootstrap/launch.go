package bootstrap

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"sync"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// Options say what to launch. The zero value sends the running executable, by
// any start method.
type Options struct {
	// Fingerprint of the table of functions; a child with another is refused.
	Fingerprint [32]byte
	// Images supplies executables; nil: the running one, for its own system.
	Images image.Source
	// Static supplies executables without a dynamic loader, for far sides that lack the
	// loader or the libraries of what Images has; nil: there are none.
	Static image.Source

	// NoDisk closes the start method that writes to a disk.
	NoDisk bool
	// StartMethods restricts the start methods to those named; empty: all.
	StartMethods []string
	// Cache says that the far side may have the image in its cache, and that
	// it is to be looked for there.
	Cache bool
	// Known is what the same far side was like before, nil if that is not known. It
	// may be wrong: it only makes things faster.
	Known *Facts
	// Early is the start method by which a child was started at that time, which is
	// tried again without waiting for the far side to speak: see
	// [Launch.Early]. "" waits.
	Early string
	// Same says that the far side is probably this host: the executable is
	// offered through /proc, and no image is packed ahead of need.
	Same bool
	// Near says that the pipe stays on this host, where an image takes less time
	// on its way than in a packer.
	Near bool
	// Slow says that the link is a slow line, for which it is worth while to wait for
	// the best packing.
	Slow bool
	// Likely is what other far sides were like, as a guess for one that is not known;
	// nil if there were none.
	Likely *Facts
	// Packed keeps packed images from one program to the next; nil: nothing is kept.
	Packed *image.PackedDir
	// Probe is for a launch that is to find out how the start methods stand, and starts
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
	// Progress is told of each change, by several goroutines but one at a time. It
	// must not block. nil: nobody.
	Progress func(Progress)
	// Log receives a warning where a disk had to be used; nil: nobody.
	Log *slog.Logger
}

// A Launch is one attempt to start a child. Its marker is its own, so each is
// run once.
type Launch struct {
	opts    Options
	marker  string
	packed  sync.Once
	packing sync.WaitGroup // the goroutine of prefetch; a tenth of a second at most
	look    sync.Once
	wanted  string        // hex SHA-256 of what is looked for in the cache; set by look
	ready   chan struct{} // closed when the far side has spoken or was given up
	isDone  sync.Once     // closes ready
}

// NewLaunch prepares a launch.
func NewLaunch(o Options) *Launch {
	o.StartMethods = slices.Clone(o.StartMethods)
	if o.Images == nil {
		o.Images = image.OwnSource
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Launch{opts: o, marker: newMarker(), ready: make(chan struct{})}
}

// prefetch packs the image that is most probably wanted while the tool is still
// busy with keys and passwords. Where it may be in the cache it is most probably not
// wanted, and packing would only take the processor from the handshake.
func (l *Launch) prefetch() {
	if l.opts.Same || l.opts.Pid > 0 || l.opts.Near || l.opts.Slow || l.opts.Probe || l.sought() != "" {
		return
	}
	likely := &Facts{Tools: []string{image.Zstd.String()}}
	for _, facts := range []*Facts{l.opts.Likely, l.opts.Known} {
		if facts != nil {
			likely = facts
		}
	}
	l.packed.Do(func() {
		l.packing.Go(func() {
			if img, err := l.opts.Images(context.Background(), runtime.GOOS, runtime.GOARCH); err == nil {
				// What fails here fails again where it is reported.
				_, _ = img.Encoded(img.CodecFor(likely.has, false), l.opts.Packed)
			}
		})
	})
}

// Ready is closed when the far side has spoken, that is, after every question
// and password; and at the latest when the launch has failed.
func (l *Launch) Ready() <-chan struct{} { return l.ready }

// Abandon ends a launch that will not be run, and closes Ready.
func (l *Launch) Abandon() {
	l.spoken()
	l.packing.Wait()
}

// spoken closes Ready.
func (l *Launch) spoken() { l.isDone.Do(func() { close(l.ready) }) }

// Run brings a child to life at the far end of c, which must have been started
// with Line, Argv or Exec, and returns when the child has said hello. ctx bounds
// all of it; the link that is returned no longer depends on it. On failure c is
// closed and the error is an [*Error].
//
// It reads in the calling goroutine; two others, for the nudges and for the
// sending of an image, end before it returns.
func (l *Launch) Run(ctx context.Context, c Carrier) (*Session, error) {
	d := l.converse(ctx, c)
	s, err := d.start()
	return s, d.finish(err)
}
