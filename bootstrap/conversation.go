package bootstrap

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/bootstrap/internal/scan"
	"github.com/mitosis-go/mitosis/core"
)

const (
	// causeTime bounds the wait for the reason why a carrier's pipe has ended.
	causeTime = 3 * time.Second
	// maxEvents bounds the lines with a marker that are passed over in a row. A
	// start method prints one for each of its places, of which there are a handful.
	maxEvents = 64
)

// A conversation is a launch under way: the exchange with a far side until the child has
// said hello. The exported type Session is the child that comes of it.
type conversation struct {
	// Immutable.
	*Launch
	ctx   context.Context
	c     Carrier
	nudge *nudger
	stop  func() bool // undoes the closing of c by ctx

	// Owned by the goroutine of Run.
	scan    *scan.Scanner
	buf     []byte
	facts   *Facts
	closed  []StartMethodError // start methods that failed or were passed over
	method  string             // is being tried; in the end the one that worked
	sent    chan struct{}      // closed when the sender has ended; nil before the first
	ack     func()             // called when a plan that was sent ahead has arrived; nil: there is none
	asked   <-chan struct{}    // closed when the goroutine that asks for such a plan has ended; nil: there is none
	lost    bool               // such a plan did not arrive
	image   *image.Image       // sent last, in codec; nil before
	codec   image.Codec
	room    int64 // bytes that an image takes; 0 before there is one
	ownProc bool  // see ensureProc
	static  bool  // the image came from Options.Static
	policy  bool  // no program is executed there; see nothingRuns

	course course // used by the sender as well
}

func (l *Launch) converse(ctx context.Context, c Carrier) *conversation {
	d := &conversation{
		Launch: l, ctx: ctx, c: c,
		scan: scan.New(l.marker), buf: make([]byte, 32<<10),
		course: course{tell: l.opts.Progress},
	}
	d.course.reach(PhaseFirstStage)
	d.stop = context.AfterFunc(ctx, func() {
		d.course.freeze()
		c.Close()
	})
	// A newline would harm an image that is under way.
	d.nudge = startNudger(c, !l.opts.NoNudge && !l.Early())
	return d
}

// finish ends the goroutines of Run, and completes the error.
func (d *conversation) finish(err error) error {
	if err == nil {
		d.nudge.stop()
		d.settle()
		if d.stop() {
			return nil
		}
		err = context.Cause(d.ctx) // ctx ended at the last moment
	}
	defer d.Abandon()
	at := d.course.last()
	e := &Error{Phase: at.Phase, Sent: at.Sent, Size: at.Size, Err: err, StartMethods: d.closed, Said: d.scan.Said()}
	if e.Phase != PhaseFirstStage {
		e.StartMethod = d.method
	}
	if d.ctx.Err() != nil {
		e.Err = context.Cause(d.ctx)
		if tool, ok := d.c.(teller); ok && e.Phase == PhaseFirstStage {
			e.Tool = tool.Said() // perhaps a question
		}
	} else if ioErr, ok := errors.AsType[*carrierError](err); ok {
		ctx, cancel := context.WithTimeout(d.ctx, causeTime)
		e.Err = ended(ctx, d.c, ioErr.err)
		cancel()
	}
	e.Hint = d.hint(e)
	d.stop()
	d.c.Close()
	d.nudge.stop()
	if d.sent != nil {
		<-d.sent
	}
	if d.asked != nil {
		<-d.asked
	}
	return e
}

// carrierError marks an error of the pipe, which the carrier may be able to explain.
type carrierError struct{ err error }

func (e *carrierError) Error() string { return e.err.Error() }

// event waits for the next line of the far side that bears the marker.
func (d *conversation) event() (scan.Event, error) {
	e, err := d.scan.Read(d.c, d.buf)
	if err != nil && !errors.Is(err, ErrNoise) {
		err = &carrierError{err}
	}
	return e, err
}

// start exchanges all lines and the image, until the child has said hello.
func (d *conversation) start() (*Session, error) {
	early := d.sendEarly(d.ctx)
	if err := d.awaitFacts(); err != nil {
		return nil, err
	}
	if d.facts == nil {
		d.method = StartExec
		return d.greet()
	}
	if len(early) > 0 {
		if alive, err := d.awaitEarly(early); err != nil {
			return nil, err
		} else if alive {
			d.warnOfDisk(nil)
			return d.greet()
		}
	}
	d.course.reach(PhasePrepare)
	if err := d.ensurePrograms(); err != nil {
		return nil, err
	}
	img, err := d.likelyImage()
	if err != nil {
		return nil, err
	}
	if alive, err := d.tryCache(img); alive || err != nil {
		if err != nil {
			return nil, err
		}
		return d.greet()
	}
	d.room = img.Size
	if err := d.ensureProc(); err != nil {
		return nil, err
	}
	alive, err := d.tryAll(img)
	if errors.Is(err, errWrongFormat) {
		alive, err = d.trySibling(img)
	}
	if errors.Is(err, errNoLoader) {
		alive, err = d.tryStatic(d.image)
	}
	if err != nil {
		return nil, err
	}
	if alive {
		return d.greet()
	}
	d.method = ""
	d.course.reach(PhaseImage)
	d.course.carry(0)
	return nil, ErrNoStartMethod
}

// tryAll tries every start method with an image, and reports whether a child has spoken.
// Otherwise d.closed has the reasons.
func (d *conversation) tryAll(img *image.Image) (alive bool, err error) {
	d.room = img.Size
	try, closed := methodsFor(d.facts, d.opts.StartMethods, d.opts.NoDisk)
	for len(try) > 0 {
		methods := try[:1]
		if byShell(try[0]) {
			methods = try // these come last, and share one plan
		}
		try = try[len(methods):]
		if alive, err = d.tryPlan(methods, img); err != nil {
			return false, err
		}
		if alive {
			d.warnOfDisk(closed)
			d.warnOfNamespace()
			return true, nil
		}
	}
	all := append(d.closed, closed...)
	d.closed = nil
	for _, method := range append(slices.Clone(startMethods), methodProc) {
		for _, e := range all {
			if e.StartMethod == method {
				d.closed = append(d.closed, e)
			}
		}
	}
	return false, nil
}

// warnOfDisk logs that the image was put on a disk, and why no other start method worked.
func (d *conversation) warnOfDisk(closed []StartMethodError) {
	if d.method == StartDisk {
		d.opts.Log.Warn("the child's executable had to be put on a disk, without a name",
			"methods", reasons(append(closed, d.closed...)))
	}
}

// awaitFacts waits for the facts. They stay nil where the first stage has started a child
// without an image.
//
// Success closes Ready. A failure does not: when the carrier is asked for the cause, an open
// Ready tells it that the far side never spoke.
func (d *conversation) awaitFacts() error {
	for range maxEvents {
		e, err := d.event()
		if err != nil {
			return err
		}
		switch e.Verb {
		case scan.Go:
			d.spoken()
			d.nudge.stop()
			return nil
		case scan.Hi:
			f, err := parseFacts(e.Rest)
			if err != nil {
				continue // not printed by the first stage
			}
			d.spoken()
			d.nudge.stop()
			d.facts = &f
			return nil
		}
	}
	return ErrNoise
}

// tryCache looks for the image in the cache, where the first stage has looked for another
// one because the system of the far side was not known yet.
func (d *conversation) tryCache(img *image.Image) (alive bool, err error) {
	hash := hex.EncodeToString(img.Hash[:])
	if sought := d.sought(); sought == "" || sought == hash {
		return false, nil
	}
	p := &plan{marker: d.marker}
	d.sendPlan(p.cache(d.lookup(hash)), nil)
	used, err := d.outcome([]string{StartCache}, make(map[string][]string))
	if alive = err == nil && used == 0; alive {
		d.method = StartCache
	}
	<-d.sent
	return alive, err
}

// tryPlan tries the start methods of one plan, at each of their places, and reports whether
// a child has spoken.
func (d *conversation) tryPlan(methods []string, img *image.Image) (alive bool, err error) {
	d.course.reach(PhasePrepare)
	p, data, err := d.plan(d.facts, img)
	if err != nil {
		return false, err
	}
	total := 0
	for _, method := range methods {
		total += len(places(method, d.facts))
	}
	notes := make(map[string][]string)
	defer func() {
		for _, method := range methods {
			if method != d.method && len(notes[method]) > 0 || err == nil && !alive {
				d.closed = append(d.closed, StartMethodError{method, strings.Join(notes[method], ", ")})
			}
		}
	}()
	d.method = methods[0]
	for {
		d.sendPlan(p.line(methods), data)
		used, err := d.outcome(methods, notes)
		if err != nil || used == 0 {
			return err == nil, err
		}
		<-d.sent
		// Each round makes skip larger, even if the far side lies. That bounds the
		// loop.
		if used <= p.skip || used >= total {
			return false, nil
		}
		p.skip = used
	}
}

// plan returns the plan for an image, and the bytes that follow it.
func (d *conversation) plan(facts *Facts, img *image.Image) (*plan, []byte, error) {
	codec := image.Raw
	if !d.opts.Near {
		codec = img.CodecFor(facts.has, d.opts.Slow)
	}
	if d.opts.Slow {
		if err := img.Improve(d.ctx, codec, d.opts.Packed); err != nil {
			d.opts.Log.Debug("the packed image can't be kept", "err", err)
		}
	}
	data, err := img.Encoded(d.ctx, codec, d.opts.Packed)
	if err != nil {
		return nil, nil, err
	}
	if whole := img.Whole(); whole != nil {
		d.opts.Log.Debug("the image is larger than it could be", "reason", whole)
	}
	d.image, d.codec = img, codec
	hash := hex.EncodeToString(img.Hash[:])
	return &plan{
		marker: d.marker, loop: d.loop(), facts: facts, args: d.childArgs(hash), goarch: img.GOARCH, loader: img.Loader,
		hash: hash, codec: codec, size: len(data),
	}, data, nil
}

// outcome waits for the end of a plan, and adds to notes why each start method failed. It
// returns the number of places that have been tried in vain, 0 if a child runs. A plan that finds
// the facts again ends with them.
func (d *conversation) outcome(methods []string, notes map[string][]string) (used int, err error) {
	for range maxEvents {
		e, err := d.event()
		if err != nil {
			return 0, err
		}
		method, rest, _ := strings.Cut(e.Rest, " ")
		switch {
		case e.Verb == scan.Go:
			return 0, nil
		case e.Verb == scan.Ack && d.ack != nil:
			d.ack()
		case e.Verb == scan.Hi && methods[0] == methodPrograms:
			if f, err := parseFacts(e.Rest); err == nil {
				d.facts = &f
				return 1, nil
			}
		}
		if !slices.Contains(methods, method) {
			continue
		}
		switch e.Verb {
		case scan.No:
			notes[method] = append(notes[method], rest)
		case scan.At:
			d.method = method
			d.course.try(method)
		case scan.Fail:
			place, reason, _ := strings.Cut(rest, " ")
			used, err := strconv.Atoi(place)
			if err != nil || used < 0 {
				used = len(methods) + maxEvents // no place is left
			}
			if strings.HasPrefix(reason, nothingRuns) {
				return 0, d.nothingRuns(reason)
			}
			switch reason {
			case "hash":
				d.course.reach(PhaseImage)
				return 0, fmt.Errorf("%w: %s", ErrImageHash, method)
			case wrongFormat:
				return 0, errWrongFormat
			case noLoader:
				return 0, errNoLoader
			case noPlaceLeft, cacheHasNot:
			case "":
				notes[method] = append(notes[method], "no reason given")
			default:
				notes[method] = append(notes[method], reason)
			}
			return max(used, 1), nil
		}
	}
	return 0, ErrNoise
}

// greet reads the hello of a child that has spoken.
func (d *conversation) greet() (*Session, error) {
	d.course.reach(PhaseHello)
	d.course.carry(0) // the image has arrived
	l := &earlyReader{Carrier: d.c, left: d.scan.Rest()}
	s := &Session{StartMethod: d.method, Said: d.scan.Said(), Sought: d.sought() != "", Lost: d.lost, Image: d.image, Codec: d.codec, Static: d.static}
	if d.facts != nil {
		s.Facts = d.found()
	}
	rest, err := readHello(l, &s.Hello)
	if err != nil {
		if !errors.Is(err, core.ErrProtocol) {
			err = &carrierError{err}
		}
		return nil, err
	}
	if err := s.Hello.Check(d.opts.Fingerprint); err != nil {
		return nil, err
	}
	l.left = append(rest, l.left...)
	if d.facts == nil && s.Hello.ImageHash != [32]byte{} {
		s.StartMethod = StartCache
	}
	s.Link = l
	return s, nil
}

// reasons lists start methods and the reason for each. Those with the same reason are
// together if they follow each other.
func reasons(list []StartMethodError) string {
	var words []string
	for i := 0; i < len(list); {
		same := list[i].StartMethod
		for i++; i < len(list) && list[i].Reason == list[i-1].Reason; i++ {
			same += ", " + list[i].StartMethod
		}
		words = append(words, StartMethodError{same, list[i-1].Reason}.Error())
	}
	return strings.Join(words, "; ")
}
