package bootstrap

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

const (
	// nudgeEvery and nudges: a profile that reads a line from standard input
	// would wait forever; newlines get it going. The first stage passes over
	// those that nobody took.
	nudgeEvery = 700 * time.Millisecond
	nudges     = 16
	// causeTime is how long a carrier whose pipe has ended may take to say why.
	causeTime = 3 * time.Second
	// maxEvents bounds the lines with a marker that are passed over in a row. A
	// rung has at most a handful of places to say something about.
	maxEvents = 64
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
	// Same says that the far side is probably this host: the executable is
	// offered through /proc, and no image is packed ahead of need.
	Same bool
	// Pid is the process whose executable is offered; 0: this one.
	Pid int
	// NoNudge stops the newlines that get a profile going which reads standard
	// input. It is for carriers that would type them at a prompt.
	NoNudge bool
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
	ready  chan struct{} // closed when the far side has spoken or was given up
	isDone sync.Once     // closes ready
}

// NewLaunch prepares a launch.
func NewLaunch(o Options) *Launch {
	o.Rungs = slices.Clone(o.Rungs)
	if o.Images == nil {
		o.Images = ownSource
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
// busy with keys and passwords.
func (l *Launch) prefetch() {
	if l.opts.Same || l.opts.Pid > 0 {
		return
	}
	l.packed.Do(func() {
		go func() {
			if image, err := l.opts.Images(context.Background(), runtime.GOOS, runtime.GOARCH); err == nil {
				image.Encoded(Codec(usual.Load()))
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

// Probe runs the first stage only, which c must have been started with, and
// closes c.
func (l *Launch) Probe(ctx context.Context, c Carrier) (Facts, error) {
	d := l.dial(ctx, c)
	err := d.awaitFacts()
	if err == nil && d.facts == nil {
		err = errors.New("a child was started where facts were asked for")
	}
	if err != nil {
		return Facts{}, d.finish(err)
	}
	facts := *d.facts
	d.finish(errProbed)
	return facts, nil
}

var errProbed = errors.New("probed")

// Probe is [Launch.Probe].
func Probe(ctx context.Context, c Carrier, l *Launch) (Facts, error) { return l.Probe(ctx, c) }

// A dialogue is a launch under way.
type dialogue struct {
	// Immutable.
	*Launch
	ctx   context.Context
	c     Carrier
	nudge *nudger
	stop  func() bool // undoes the closing of c by ctx

	// Owned by the goroutine of Run.
	scan   *scanner
	buf    []byte
	facts  *Facts
	closed []RungError   // rungs that did not do
	rung   string        // being tried, in the end the one that did
	sent   chan struct{} // closed when the sender has ended; nil before the first

	phase atomic.Value // Phase; the sender moves it on
}

func (l *Launch) dial(ctx context.Context, c Carrier) *dialogue {
	d := &dialogue{
		Launch: l, ctx: ctx, c: c,
		scan: newScanner(l.marker), buf: make([]byte, 32<<10),
		stop: context.AfterFunc(ctx, func() { c.Close() }),
	}
	d.phase.Store(PhaseFirstStage)
	d.nudge = startNudger(c, !l.opts.NoNudge)
	return d
}

// finish ends what Run started and dresses the error.
func (d *dialogue) finish(err error) error {
	if err == nil {
		d.nudge.end()
		if d.stop() {
			return nil
		}
		err = context.Cause(d.ctx) // at the last moment
	}
	e := &Error{Phase: d.phase.Load().(Phase), Err: err, Rungs: d.closed, Said: d.scan.said()}
	if d.ctx.Err() != nil {
		e.Err = context.Cause(d.ctx)
	} else if ioErr, ok := errors.AsType[*carrierError](err); ok {
		ctx, cancel := context.WithTimeout(d.ctx, causeTime)
		e.Err = ended(ctx, d.c, ioErr.err)
		cancel()
	}
	d.stop()
	d.c.Close()
	d.nudge.end()
	if d.sent != nil {
		<-d.sent
	}
	return e
}

// carrierError marks an error of the pipe, for which the carrier may have an
// explanation.
type carrierError struct{ err error }

func (e *carrierError) Error() string { return e.err.Error() }

// event waits for the far side's next word.
func (d *dialogue) event() (event, error) {
	e, err := d.scan.read(d.c, d.buf)
	if err != nil && !errors.Is(err, ErrNoise) {
		err = &carrierError{err}
	}
	return e, err
}

func (d *dialogue) run() (*Session, error) {
	if err := d.awaitFacts(); err != nil {
		return nil, err
	}
	if d.facts == nil {
		d.rung = RungExec
		return d.greet()
	}
	image, err := d.opts.Images(d.ctx, d.facts.GOOS(), d.facts.GOARCH())
	if err != nil {
		return nil, err
	}
	d.phase.Store(PhaseImage)
	try, closed := rungsFor(d.facts, d.opts.Rungs, d.opts.NoDisk)
	for len(try) > 0 {
		rungs := try[:1]
		if byShell(try[0]) {
			rungs = try // they come last, and one plan does for all
		}
		try = try[len(rungs):]
		alive, err := d.climb(rungs, image)
		if err != nil {
			return nil, err
		}
		if alive {
			if d.rung == RungDisk {
				d.opts.Log.Warn("the child's executable had to be put on a disk, without a name",
					"rungs", reasons(append(closed, d.closed...)))
			}
			return d.greet()
		}
	}
	d.closed = append(d.closed, closed...)
	slices.SortStableFunc(d.closed, func(a, b RungError) int {
		return slices.Index(ladder, a.Rung) - slices.Index(ladder, b.Rung)
	})
	d.phase.Store(PhaseImage)
	return nil, ErrNoRung
}

// awaitFacts waits for the first stage, or for a child that needed none: then
// facts stay nil.
func (d *dialogue) awaitFacts() error {
	defer d.Abandon()
	for range maxEvents {
		e, err := d.event()
		if err != nil {
			return err
		}
		switch e.verb {
		case verbGo:
			d.nudge.end()
			return nil
		case verbHi:
			f, err := parseFacts(e.rest)
			if err != nil {
				continue // a line that was made to look like it
			}
			d.nudge.end()
			d.facts = &f
			return nil
		}
	}
	return ErrNoise
}

// climb tries the rungs of one plan, at every place that they have, and tells
// whether a child has spoken.
func (d *dialogue) climb(rungs []string, image *Image) (alive bool, err error) {
	codec := codecFor(d.facts)
	usual.Store(uint32(codec))
	data, err := image.Encoded(codec)
	if err != nil {
		return false, err
	}
	hash := hex.EncodeToString(image.Hash[:])
	p := &plan{
		marker: d.marker, loop: d.loop(), facts: d.facts, args: d.childArgs(hash),
		hash: hash, codec: codec, size: len(data),
	}
	total := 0
	for _, rung := range rungs {
		total += len(places(rung, d.facts))
	}
	notes := make(map[string][]string)
	defer func() {
		for _, rung := range rungs {
			if rung != d.rung && len(notes[rung]) > 0 || err == nil && !alive {
				d.closed = append(d.closed, RungError{rung, strings.Join(notes[rung], ", ")})
			}
		}
	}()
	d.rung = rungs[0]
	for {
		d.send(p.line(rungs), data)
		used, err := d.outcome(rungs, notes)
		if err != nil || used == 0 {
			return err == nil, err
		}
		<-d.sent
		// Going on only ever makes skip larger: that bounds the loop also
		// with a far side that lies.
		if used <= p.skip || used >= total {
			return false, nil
		}
		p.skip = used
	}
}

// outcome waits for the end of a plan, and notes for each rung what did not do.
// It returns how many places have been used up, 0 for a child that runs.
func (d *dialogue) outcome(rungs []string, notes map[string][]string) (used int, err error) {
	for range maxEvents {
		e, err := d.event()
		if err != nil {
			return 0, err
		}
		rung, rest, _ := strings.Cut(e.rest, " ")
		if e.verb == verbGo {
			return 0, nil
		}
		if !slices.Contains(rungs, rung) {
			continue
		}
		switch e.verb {
		case verbNo:
			notes[rung] = append(notes[rung], rest)
		case verbAt:
			d.rung = rung
		case verbFail:
			place, reason, _ := strings.Cut(rest, " ")
			used, err := strconv.Atoi(place)
			if err != nil || used < 0 {
				used = len(rungs) + maxEvents // none is left
			}
			switch reason {
			case "hash":
				d.phase.Store(PhaseImage)
				return 0, fmt.Errorf("%w: %s", ErrImageHash, rung)
			case noPlaceLeft:
			case "":
				notes[rung] = append(notes[rung], "no reason given")
			default:
				notes[rung] = append(notes[rung], reason)
			}
			return max(used, 1), nil
		}
	}
	return 0, ErrNoise
}

// send writes a plan and the image behind it. Reading goes on meanwhile, so
// that neither side waits for the other with a full pipe. An error needs no
// report: the same end of the pipe shows to the reader.
func (d *dialogue) send(line string, data []byte) {
	sent := make(chan struct{})
	d.sent = sent
	d.phase.Store(PhaseImage)
	go func() {
		defer close(sent)
		if _, err := io.WriteString(d.c, "\n"+line+"\n"); err != nil {
			return
		}
		if _, err := d.c.Write(data); err == nil {
			d.phase.Store(PhaseHello)
		}
	}()
}

// greet reads the hello of a child that has spoken.
func (d *dialogue) greet() (*Session, error) {
	d.phase.Store(PhaseHello)
	l := &link{Carrier: d.c, left: slices.Clone(d.scan.rest())}
	d.scan.buf = nil // frames, nothing that anybody said
	s := &Session{Rung: d.rung, Said: d.scan.said()}
	if d.facts != nil {
		s.Facts = *d.facts
	}
	rest, err := readHello(l, &s.Hello)
	if err != nil {
		if !errors.Is(err, core.ErrProtocol) {
			err = &carrierError{err}
		}
		return nil, err
	}
	if err := s.Hello.check(d.opts.Fingerprint); err != nil {
		return nil, err
	}
	l.left = append(rest, l.left...)
	s.Link = l
	return s, nil
}

func reasons(list []RungError) string {
	words := make([]string, len(list))
	for i, r := range list {
		words[i] = r.Error()
	}
	return strings.Join(words, "; ")
}
