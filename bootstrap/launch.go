package bootstrap

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"sync"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// Options describe a launch. The zero value sends the running executable, by any start
// method.
type Options struct {
	// Fingerprint is the hash of the registered functions. A child with another one is
	// refused.
	Fingerprint [32]byte
	// Images supplies executables; nil: the running one, for its own system.
	Images image.Source
	// Static supplies executables without a dynamic loader, for far sides that lack the
	// loader or the libraries of the others; nil: there are none.
	Static image.Source

	// NoDisk excludes the start method that writes to a disk.
	NoDisk bool
	// StartMethods restricts the start methods to these names; empty: all are allowed.
	StartMethods []string
	// Cache has the far side look for the image in its cache first.
	Cache bool
	// Known is what the same far side was like last time; nil: nothing is known. It may
	// be wrong: it only saves time.
	Known *Facts
	// Early is the start method that worked last time. It is tried again without waiting
	// for the far side to speak: see [Launch.Early]. "": the launch waits.
	Early string
	// Same says that the far side is probably this host: the executable is
	// offered through /proc, and no image is packed ahead of need.
	Same bool
	// Near says that the pipe stays on this host. There an image takes less time to
	// send than to pack.
	Near bool
	// Slow says that the link is a slow line, for which the best packing is worth
	// waiting for.
	Slow bool
	// Likely is what other far sides were like, as a guess for one that is not known;
	// nil: there were none.
	Likely *Facts
	// Packed keeps packed images from one program to the next; nil: nothing is kept.
	Packed *image.PackedDir
	// Probe is for a launch that finds out which start methods would work, and starts
	// nothing: see [Launch.Probe].
	Probe bool
	// Pid is the process whose executable is offered; 0: this one.
	Pid int
	// NoNudge turns off the newlines that satisfy a profile which reads standard input.
	// It is for carriers that would type them at a prompt.
	NoNudge bool
	// Pace says that the bytes pass through sshd. Its buffer is slow with an image that
	// comes faster than the far side unpacks it.
	Pace bool
	// Label is shown in the far side's process list. Characters other than
	// letters, digits and @:._-/ are replaced.
	Label string
	// Progress is called at each change, by several goroutines but one at a time. It
	// must not block. nil: it is not called.
	Progress func(Progress)
	// Log receives a warning when a disk had to be used; nil: there is no log.
	Log *slog.Logger
}

// A Launch is one attempt to start a child. It is run once, because its marker is
// random for each.
type Launch struct {
	opts   Options
	marker string

	packed     sync.Once
	packing    sync.WaitGroup // the goroutine of prefetch
	endPacking func()         // has it end within milliseconds

	look   sync.Once
	wanted string // hex SHA-256 of the image that is looked for in the cache; set by look

	ready  chan struct{} // closed when the far side has spoken or was given up
	isDone sync.Once     // closes ready
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
	return &Launch{opts: o, marker: newMarker(), endPacking: func() {}, ready: make(chan struct{})}
}

// prefetch packs the image that is most probably wanted, while the tool is still
// busy with keys and passwords. It does not pack one that the far side may have in its
// cache: that would only take the processor from the handshake.
//
// The packing ends with the launch at the latest: [Launch.Run] and [Launch.Abandon] end
// it and wait for it.
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
		ctx, cancel := context.WithCancel(context.Background())
		l.endPacking = cancel
		l.packing.Go(func() {
			if img, err := l.opts.Images(ctx, runtime.GOOS, runtime.GOARCH); err == nil {
				// A failure is reported when the image is needed and fails again.
				_, _ = img.Encoded(ctx, img.CodecFor(likely.has, false), l.opts.Packed)
			}
		})
	})
}

// Ready returns a channel that is closed when the far side has spoken: after all
// questions and passwords. It is closed when the launch fails, too.
func (l *Launch) Ready() <-chan struct{} { return l.ready }

// Abandon ends a launch that will not be run. It closes Ready and waits for the
// goroutine that Line or Argv has started.
func (l *Launch) Abandon() {
	l.spoken()
	l.settle()
}

// settle ends the goroutine of prefetch and waits for it, a few milliseconds at most.
func (l *Launch) settle() {
	l.endPacking()
	l.packing.Wait()
}

// spoken closes Ready.
func (l *Launch) spoken() { l.isDone.Do(func() { close(l.ready) }) }

// Run starts a child at the far end of c, and returns when the child has said hello. c
// must have been started with Line, Argv or Exec. ctx bounds all of this, but not the link
// that is returned. On failure c is closed and the error is an [*Error].
//
// It reads in the calling goroutine. The others, which send the newlines and the image and
// pack ahead of need, end before it returns.
func (l *Launch) Run(ctx context.Context, c Carrier) (*Session, error) {
	d := l.converse(ctx, c)
	s, err := d.start()
	return s, d.finish(err)
}
